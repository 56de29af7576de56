"""The course: every script's statement holds in its quick mode, and the page says what the scripts measured."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from processes import Process

ROOT = Path(__file__).resolve().parent.parent
COURSE, PAGE = ROOT / "carousel" / "course", ROOT / "docs" / "course"
SCRIPTS = sorted(COURSE.glob("[0-9][0-9]_*.py"))


@pytest.fixture
def gallery(monkeypatch):
    monkeypatch.syspath_prepend(str(PAGE))
    import gallery

    return gallery


# As `python -W error SCRIPT ARGUMENTS` does, on one thread: the test beside it needs the other processor.
SCRIPT = """
import runpy, sys, warnings
from pathlib import Path
import torch

torch.set_num_threads(1)
warnings.simplefilter("error")
del sys.argv[0]
sys.path.insert(0, str(Path(sys.argv[0]).parent))
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run(script, *arguments, streams):
    return Process(SCRIPT, script, *arguments, cwd=Path.cwd(), streams=streams).wait()


def test_they_are_numbered():
    assert [script.stem[:2] for script in SCRIPTS] == [f"{n:02}" for n in range(1, len(SCRIPTS) + 1)]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_the_statement_holds(script, tmp_path):
    done = run(script, "--quick", "--out", tmp_path, streams=tmp_path / "streams")
    assert done.returncode == 0, done.stdout + done.stderr
    record = json.loads((tmp_path / f"{script.stem}.json").read_text(encoding="utf-8"))
    assert record["quick"]
    assert len(record["facts"]) >= 2
    assert all(fact["holds"] for fact in record["facts"])
    assert (tmp_path / f"{script.stem}.png").read_bytes().startswith(b"\x89PNG")


def test_a_fact_that_does_not_hold_fails_the_script(tmp_path):
    script = tmp_path / "99_wrong.py"
    script.write_text(
        '"""99. Wrong\n\nOnly in part: at all.\n"""\n\n'
        "from carousel.course.lesson import teach\n"
        "def main(lesson):\n    lesson.fact('1 = 1.', True)\n    lesson.fact('1 = 2.', False)\n"
        "if __name__ == '__main__':\n    teach(main)\n",
        encoding="utf-8",
    )
    done = run(script, "--quick", streams=tmp_path / "streams")
    assert done.returncode == 1
    assert "DOES NOT HOLD: 1 = 2." in done.stdout


def test_page_pictures_and_numbers_agree(gallery):
    assert gallery.disagreements(PAGE) == []


@pytest.mark.parametrize("kind", ["page", "numbers", "picture", "code", "missing"])
def test_what_does_not_agree_is_found(gallery, tmp_path, kind):
    folder = tmp_path / "course"
    shutil.copytree(PAGE, folder)
    numbers, picture, page = folder / "03_gradients.json", folder / "03_gradients.png", folder / "README.md"
    record = json.loads(numbers.read_text(encoding="utf-8"))
    if kind == "page":
        page.write_text(page.read_text(encoding="utf-8").replace("0.0000266", "0.000017", 1), encoding="utf-8")
    elif kind == "numbers":
        record["facts"][0]["claim"] = "0.9^100 = 0.000017."
        numbers.write_text(json.dumps(record), encoding="utf-8")
    elif kind == "picture":
        picture.write_bytes(picture.read_bytes() + b"\0")
    elif kind == "code":
        numbers.write_text(json.dumps(record | {"code": "of yesterday"}), encoding="utf-8")
    else:
        picture.unlink()
    (found,) = gallery.disagreements(folder)
    assert {
        "page": "README.md is not what the scripts' texts and numbers make",
        "numbers": "README.md is not what the scripts' texts and numbers make",
        "picture": "03_gradients.png is not the picture of the run in 03_gradients.json",
        "code": "03_gradients.json was measured by other code than 03_gradients.py has now",
        "missing": "03_gradients.py has left no 03_gradients.png",
    }[kind] in found


def test_pictures_are_described_and_the_page_links_to_files_that_exist():
    page = (PAGE / "README.md").read_text(encoding="utf-8")
    for script in SCRIPTS:
        assert f"(../../carousel/course/{script.name})" in page
        described = json.loads((PAGE / f"{script.stem}.json").read_text(encoding="utf-8"))["seen in the picture"]
        assert len(described) > 100
        assert f"![{described}]({script.stem}.png)" in page


def test_every_lesson_stands_in_the_contents_and_every_topic_leads_to_a_lesson():
    page = (PAGE / "README.md").read_text(encoding="utf-8")
    headings = {
        re.sub(r"[^\w\- ]", "", line[3:].lower()).replace(" ", "-") for line in re.findall("^## .*", page, re.M)
    }
    linked = re.findall(r"\]\(#([^)]+)\)", page)
    assert set(linked) <= headings
    assert len(headings - set(linked)) == 2  # the two tables themselves
    for script in SCRIPTS:
        assert page.count(f"[{int(script.stem[:2])}](#") > 0, f"no topic leads to {script.name}"


def test_the_command_lists_and_runs_lessons(tmp_path, capsys, monkeypatch):
    from carousel.cli.course import course
    from carousel.course import lesson, main_of
    from carousel.errors import DataError

    course()
    listed = capsys.readouterr().out
    assert listed.startswith("1. A layer fed back into itself is a loop")
    assert listed.count("\n") == len(SCRIPTS) + 2

    ran: list = []

    def conduct(main, **how):
        ran.append((main, how))
        return len(ran) != 2

    monkeypatch.setattr(lesson, "conduct", conduct)
    course(3, quick=True, out=tmp_path)
    assert ran == [(main_of(3), {"quick": True, "out": tmp_path, "data": None})]
    with pytest.raises(DataError, match="A statement of lesson 4 does not hold here"):
        course(4)
    with pytest.raises(DataError, match="There is no lesson 99: there are 1 to"):
        course(99)
    with pytest.raises(DataError, match="Which lessons"):
        course(quick=True)
    with pytest.raises(DataError, match="Which lessons"):
        course(data=tmp_path)


def test_a_lesson_reads_real_files_where_it_can(tmp_path, capsys):
    from carousel.course import lesson, main_of
    from carousel.errors import DataError

    with pytest.raises(DataError, match="5. .*makes its own data and reads no files: leave --data out"):
        lesson.conduct(main_of(5), quick=True, out=None, data=tmp_path)

    scope: dict = {"__doc__": "99. One that reads"}
    exec("def main(lesson): raise AssertionError\ndef on_files(lesson, data): lesson.fact(data.name, True)", scope)
    reading = lesson.reading(scope["main"], tmp_path)
    reading(lesson.Lesson(quick=True))
    assert f"holds: {tmp_path.name}" in capsys.readouterr().out
    with pytest.raises(DataError, match="99. .*no such file or folder"):
        lesson.reading(scope["main"], tmp_path / "nowhere")
