"""Size of a page of 500 episodes, time to write it, and time until a browser has opened it.

python tests/benchmarks/bench_viewer.py

Twenty episodes of the mixture are played and stand on the page again and again under other ids. The browser's time is
left out where there is no Chromium.
"""

import dataclasses
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EPISODES, PLAYED = 500, 20
sys.path.insert(0, str(Path(__file__).parents[2]))


def main() -> None:
    """Print the table."""
    from metis_gym.viewer import page_html, read_episodes
    from tests.browser import Browser, find_browser

    with tempfile.TemporaryDirectory() as folder:
        run, page = Path(folder, "run"), Path(folder, "page.html")
        command = f"-m metis_gym eval --agent always-tool --episodes {PLAYED} --workers 1 --quiet --record {run}"
        subprocess.run([sys.executable, *command.split()], check=True, stdout=subprocess.DEVNULL)
        cards = list(read_episodes(run))
        many = [
            dataclasses.replace(cards[number % len(cards)], task_id=f"{cards[number % len(cards)].task_id}-{number}")
            for number in range(EPISODES)
        ]
        start = time.process_time()
        page.write_text(page_html({"run": many}), encoding="utf-8")
        written = time.process_time() - start
        print(f"| {'page of 500 episodes':<26} | {'measured':>8} | target |\n|---|---|---|")
        print(f"| {'megabytes':<26} | {page.stat().st_size / 1e6:>8.1f} | < 15 |")
        print(f"| {'CPU seconds to write it':<26} | {written:>8.1f} | |")
        program = find_browser()
        if program:
            with Browser(program) as browser:
                tab = browser.open("about:blank#")
                start = time.monotonic()
                tab.go(f"{page.as_uri()}#e250")
                tab.until("document.querySelector('#e250').offsetParent !== null")
                print(f"| {'seconds to open it':<26} | {time.monotonic() - start:>8.1f} | < 2 |")


if __name__ == "__main__":
    main()
