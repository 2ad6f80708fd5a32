"use strict";
(() => {
  const rows = [...document.querySelectorAll("#list li")];
  const cells = [...document.querySelectorAll("button[data-cell]")];
  const search = document.getElementById("search");
  const family = document.getElementById("family");
  const difference = document.getElementById("difference");
  const shown = document.getElementById("shown");
  const visible = () => rows.filter((row) => !row.hidden);
  const linkOf = (row) => row.querySelector("a");

  function fits(row) {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    if (!words.every((word) => row.dataset.text.includes(word))) return false;
    if (family.value && row.dataset.family !== family.value) return false;
    if (difference && difference.value && !(row.dataset.difference || "").split(" ").includes(difference.value)) return false;
    const pressed = cells.filter((cell) => cell.getAttribute("aria-pressed") === "true");
    return pressed.every((cell) => row.dataset["cell" + cell.dataset.run] === cell.dataset.cell);
  }
  function update() {
    for (const row of rows) row.hidden = !fits(row);
    shown.textContent = String(visible().length);
  }
  function mark() {
    for (const row of rows) {
      const isHere = linkOf(row).getAttribute("href") === location.hash;
      linkOf(row).classList.toggle("here", isHere);
      if (isHere) row.scrollIntoView({ block: "nearest" });
    }
  }
  function move(step) {
    const list = visible();
    if (!list.length) return;
    const at = list.findIndex((row) => linkOf(row).getAttribute("href") === location.hash);
    const next = at < 0 ? (step > 0 ? 0 : list.length - 1) : Math.min(list.length - 1, Math.max(0, at + step));
    location.hash = linkOf(list[next]).getAttribute("href");
  }
  for (const cell of cells) {
    cell.addEventListener("click", () => {
      const was = cell.getAttribute("aria-pressed") === "true";
      for (const other of cells) if (other.dataset.run === cell.dataset.run) other.setAttribute("aria-pressed", "false");
      cell.setAttribute("aria-pressed", String(!was));
      update();
    });
  }
  for (const control of [search, family, difference]) if (control) control.addEventListener("input", update);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const isTyping = /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName);
    if (event.key === "Escape") document.activeElement.blur();
    if (isTyping) return;
    if (event.key === "/") { event.preventDefault(); search.focus(); }
    if (event.key === "j" || event.key === "ArrowDown") { event.preventDefault(); move(1); }
    if (event.key === "k" || event.key === "ArrowUp") { event.preventDefault(); move(-1); }
  });
  window.addEventListener("hashchange", mark);
  mark();
  update();
})();
