"""The page of the course, docs/course/README.md: made of the scripts' texts and of what they measured.

python examples/course/gallery.py             # runs every script in full, some minutes, and writes the page
python examples/course/gallery.py 03 05       # runs these again
python examples/course/gallery.py --text      # writes the page anew from the numbers that are there
python examples/course/gallery.py --check     # says what does not agree with what; exits 1 if anything
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from lesson import fingerprint

HERE = Path(__file__).resolve().parent
FOLDER = HERE.parent.parent / "docs" / "course"
PARTLY = "Only in part:"

HEAD = """\
# The course, executed

What lectures on recurrent networks state, as experiments: eight scripts, each with its statement, what it measured and
where the statement stops holding. A script fails if a sentence below it is not borne out by its own figures.

    python examples/course/01_loop.py                  # in full: a minute or two
    python examples/course/01_loop.py --quick          # the same statement on small sizes, in seconds
    python examples/course/01_loop.py --out FOLDER     # the picture and every number, as JSON

This page is written by `examples/course/gallery.py` from those numbers, and tests check that it agrees with them.
"""


def scripts() -> list[Path]:
    return sorted(HERE.glob("[0-9][0-9]_*.py"))


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
        f"[{script.name}](../../examples/course/{script.name}), {record['seconds']} s of one core, Python "
        f"{versions['python']}, torch {versions['torch']}; [all numbers]({script.stem}.json)"
    )
    return "\n\n".join(parts)


def page(folder: Path) -> str:
    return "\n\n".join([HEAD.rstrip(), *(section(script, folder) for script in scripts())]) + "\n"


def disagreements(folder: Path) -> list[str]:
    """What on the page, in its pictures and in its numbers does not agree; [] if all does."""
    found = []
    for script in scripts():
        again = f"run: python examples/course/gallery.py {script.stem[:2]}"
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
        for script in scripts():
            if not arguments.numbers or script.stem[:2] in arguments.numbers:
                subprocess.run([sys.executable, str(script), "--out", str(FOLDER)], check=True)
    if not arguments.check:
        (FOLDER / "README.md").write_text(page(FOLDER), encoding="utf-8")
    found = disagreements(FOLDER)
    print("\n".join(found) or f"{FOLDER.name}/README.md agrees with {len(scripts())} scripts and their numbers")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
