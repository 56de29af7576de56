"""The page of the course, docs/course/README.md: made of the scripts' texts and of what they measured.

python docs/course/gallery.py             # runs every script in full, some minutes, and writes the page
python docs/course/gallery.py 03 05       # runs these again
python docs/course/gallery.py --text      # writes the page anew from the numbers that are there
python docs/course/gallery.py --check     # says what does not agree with what; exits 1 if anything
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from carousel.course import scripts
from carousel.course.lesson import fingerprint

FOLDER = Path(__file__).resolve().parent
PARTLY = "Only in part:"

HEAD = """\
# The course, executed

What lectures on recurrent networks state, as experiments: lessons, each with its statement, what it measured and where
the statement stops holding. A lesson fails if a sentence below it is not borne out by its own figures.

    carousel course                          # the list
    carousel course 1                        # the first lesson in full: a minute or two
    carousel course 1 --quick                # the same statement on small sizes, in seconds
    carousel course 1 --out FOLDER           # the picture and every number, as JSON

This page is written by `docs/course/gallery.py` from those numbers, and tests check that it agrees with them.
"""


def before_the_lessons() -> str:
    """The table of contents, and what a person with lecture notes looks for: topics and letters (topics.txt)."""
    titles = [text_of(script)[0] for script in scripts().values()]
    contents = "\n".join(f"- [{title}](#{anchor(title)})" for title in titles)
    anchors = {title.partition(".")[0]: anchor(title) for title in titles}
    topics = (FOLDER / "topics.txt").read_text(encoding="utf-8")
    linked = re.sub(r"\[(\d+)\]", lambda number: f"[{number[1]}](#{anchors[number[1]]})", topics)
    return f"{HEAD}\n{contents}\n\n{linked.rstrip()}"


def anchor(title: str) -> str:
    """The name under which a page of GitHub or of Sphinx finds a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def text_of(script: Path) -> tuple[str, str, str]:
    """A script's title, its statement, and where that holds only in part."""
    title, _, body = str(ast.get_docstring(ast.parse(script.read_text(encoding="utf-8")))).partition("\n")
    statement, found, partly = body.partition(PARTLY)
    if not found:
        raise SystemExit(f'{script.name}: its text must say where the statement stops holding, after "{PARTLY}"')
    return title, statement.strip("\n"), " ".join(partly.split())


def record_of(script: Path, folder: Path) -> dict[str, Any]:
    return json.loads((folder / f"{script.stem}.json").read_text(encoding="utf-8"))


def table(content: dict[str, Any]) -> str:
    rows = [content["columns"], ["---"] * len(content["columns"]), *content["rows"]]
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return content["title"] + ":\n\n" + "\n".join(lines)


def section(script: Path, folder: Path) -> str:
    title, statement, partly = text_of(script)
    record = record_of(script, folder)
    parts = [f"## {title}", statement, f"![{record['seen in the picture']}]({script.stem}.png)"]
    parts.append("\n".join(f"- {fact['claim']}" for fact in record["facts"]))
    parts += map(table, record["tables"])
    parts.append(f"**{PARTLY}** {partly}")
    versions = record["versions"]
    parts.append(
        f"[{script.name}](../../carousel/course/{script.name}), {record['seconds']} s of one core, Python "
        f"{versions['python']}, torch {versions['torch']}; [all numbers]({script.stem}.json)"
    )
    return "\n\n".join(parts)


def page(folder: Path) -> str:
    return "\n\n".join([before_the_lessons(), *(section(script, folder) for script in scripts().values())]) + "\n"


def disagreements(folder: Path) -> list[str]:
    """What on the page, in its pictures and in its numbers does not agree; [] if all does."""
    found = []
    for script in scripts().values():
        again = f"run: python docs/course/gallery.py {script.stem[:2]}"
        try:
            record = record_of(script, folder)
            picture = (folder / f"{script.stem}.png").read_bytes()
        except FileNotFoundError as missing:
            found.append(f"{script.name} has left no {Path(str(missing.filename)).name}; {again}")
            continue
        if record["quick"]:
            found.append(f"{script.stem}.json comes from the quick mode; {again}")
        if record["code"] != fingerprint(script):
            found.append(f"{script.stem}.json was measured by other code than {script.name} has now; {again}")
        if record["picture"] != hashlib.sha256(picture).hexdigest():
            found.append(f"{script.stem}.png is not the picture of the run in {script.stem}.json; {again}")
        found += [f"{script.name}: does not hold: {fact['claim']}" for fact in record["facts"] if not fact["holds"]]
    readme = folder / "README.md"
    if not found and (not readme.is_file() or readme.read_text(encoding="utf-8") != page(folder)):
        found.append(
            "README.md is not what the scripts' texts and numbers make; run: gallery.py --text, and look at it"
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("numbers", nargs="*", metavar="NN", help="the scripts to run; default: all")
    parser.add_argument("--text", action="store_true", help="run nothing, write the page")
    parser.add_argument("--check", action="store_true", help="run and write nothing, compare")
    arguments = parser.parse_args()
    if not arguments.check and not arguments.text:
        for script in scripts().values():
            if not arguments.numbers or script.stem[:2] in arguments.numbers:
                subprocess.run([sys.executable, str(script), "--out", str(FOLDER)], check=True)
    if not arguments.check:
        (FOLDER / "README.md").write_text(page(FOLDER), encoding="utf-8")
    found = disagreements(FOLDER)
    print("\n".join(found) or f"{FOLDER.name}/README.md agrees with {len(scripts())} scripts and their numbers")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
