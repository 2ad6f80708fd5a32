"use strict";
(() => {
  const form = document.getElementById("crop");
  const board = document.querySelector("[data-crop] .drag .frame");
  if (form && board) {
    const boxes = board.querySelector("svg");
    const size = boxes.viewBox.baseVal;
    let start = null;
    let drawn = null;
    const at = (event) => {
      const frame = board.getBoundingClientRect();
      const inside = (value, most) => Math.max(0, Math.min(most, Math.round(value)));
      return [
        inside(((event.clientX - frame.left) / frame.width) * size.width, size.width),
        inside(((event.clientY - frame.top) / frame.height) * size.height, size.height),
      ];
    };
    const boxTo = (end) => [
      Math.min(start[0], end[0]), Math.min(start[1], end[1]), Math.max(start[0], end[0]), Math.max(start[1], end[1]),
    ];
    board.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      board.setPointerCapture(event.pointerId);
      start = at(event);
      drawn = document.createElementNS("http://www.w3.org/2000/svg", "rect");
      drawn.setAttribute("class", "drawn");
      boxes.append(drawn);
    });
    board.addEventListener("pointermove", (event) => {
      if (!start) return;
      const [left, top, right, bottom] = boxTo(at(event));
      for (const [name, value] of Object.entries({ x: left, y: top, width: right - left, height: bottom - top })) {
        drawn.setAttribute(name, value);
      }
    });
    board.addEventListener("pointerup", (event) => {
      if (!start) return;
      const [left, top, right, bottom] = boxTo(at(event));
      start = null;
      if (right - left < 8 || bottom - top < 8) { drawn.remove(); return; }
      for (const [name, value] of Object.entries({ left, top, right, bottom })) form.elements[name].value = value;
      form.submit();
    });
    board.addEventListener("pointercancel", () => { start = null; if (drawn) drawn.remove(); });
  }
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (/^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName)) return;
    const button = document.querySelector(`button[data-key="${CSS.escape(event.key.toLowerCase())}"]`);
    if (button) { event.preventDefault(); button.click(); }
  });
})();
