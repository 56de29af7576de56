"""The picture at the top of README: a page that `carousel inspect` wrote, as a browser shows it.

    carousel inspect runs/python-help while.txt         # a text of Python's help
    python docs/site/picture.py runs/python-help/inspect/index.html docs/readme.png --step 331
    python docs/site/picture.py runs/python-help/inspect/index.html docs/readme-dark.png --step 331 --dark

The header stands in it, and under it side by side the text and what comes next; other sections are left out.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright

WIDTH = 1180
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
SHOWN = """
body { max-width: none; }
main { display: grid; grid-template-columns: 7fr 4fr; gap: 2rem; }
main > section:not(:nth-of-type(2), :nth-of-type(3)) { display: none; }
"""


def take(page: Path, picture: Path, step: int, dark: bool) -> None:
    """Writes the picture of a page at a step, 1 being the first."""
    program = next(filter(None, map(shutil.which, BROWSERS)))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        shown = browser.new_page(viewport={"width": WIDTH, "height": 400}, color_scheme="dark" if dark else "light")
        shown.goto(page.resolve().as_uri())
        shown.add_style_tag(content=SHOWN)
        slider = shown.locator("#cursor input")
        slider.evaluate("(it, to) => { it.value = to; it.dispatchEvent(new Event('input')); }", str(step))
        shown.wait_for_timeout(500)
        shown.screenshot(path=picture, full_page=True)
        browser.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--step", type=int, default=1)
    parser.add_argument("--dark", action="store_true")
    asked = parser.parse_args()
    take(asked.page, asked.picture, asked.step, asked.dark)
