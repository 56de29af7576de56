"""What is told while training: to a log, to a terminal, and how often."""

import io
import re

import pytest
from rich.console import Console

from carousel.training import progress
from carousel.training.measure import Measure, bits
from carousel.training.progress import Lines, Status, clock, meter, printable, report_for
from carousel.training.screen import Screen


def status(step: int, seconds: float, **changes) -> Status:
    values = {"steps": 100, "tokens": 64 * step, "epoch": step / 50, "train": 1.5, "validation": 2.0, "best": 1.9}
    return Status(step=step, seconds=seconds, **(values | changes))


def test_lines_give_speed_losses_in_both_units_the_rival_and_the_time_left() -> None:
    lines: list[str] = []
    report = Lines(write=lines.append)
    report.begin(Measure("char", tokens_per_unit=0.5), ("5-gram counts", 1.669))
    written = "a text that the model wrote, which is no figure and is left out of logs"
    report.validated(status(0, 0.0, train=None, steps=None), written)
    report.validated(status(50, 10.0), written)
    assert lines[0] == (
        "step 0 · epoch 0.00 · validation 2.000 nats/char (2.885 bits) · 5-gram counts 1.669 · timing the first steps"
    )
    assert lines[1] == (
        "step 50 of 100 · epoch 1.00 · 640 chars/s · train 1.500 nats/char (2.164 bits) · "
        "validation 2.000 nats/char (2.885 bits) · 5-gram counts 1.669 · 0:10 left"
    )


def test_a_loss_that_is_no_information_is_shown_without_bits() -> None:
    lines: list[str] = []
    report = Lines(write=lines.append)
    report.begin(Measure("window", quantity="quantile loss"), ("seasonal naive", 0.21))
    report.validated(status(50, 10.0, validation=0.113), None)
    assert "validation 0.113 quantile loss · seasonal naive 0.210" in lines[0]
    assert "bits" not in lines[0]
    text = io.StringIO()
    screen = Screen(Console(file=text, force_terminal=True, width=100, color_system=None))
    screen.begin(Measure("window", quantity="quantile loss"), ("seasonal naive", 0.21), samples="how good it is now")
    screen.validated(status(50, 10.0, validation=0.113), "MASE 0.71")
    screen.pause()
    assert re.search(r"validation +0.113", text.getvalue())
    assert "how good it is now:" in text.getvalue()


def test_what_is_not_shown_is_not_computed(monkeypatch) -> None:
    """The status costs a wait for the device, so it is asked for only when it is due."""
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    asked = 0

    def ask() -> Status:
        nonlocal asked
        asked += 1
        return status(asked, now)

    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    for report, expected in ((Screen(console), 4 * 10), (Lines(every=2.0, write=lambda _: None), 5)):
        asked = 0
        report.begin(Measure(), None)
        for _ in range(10_000):  # ten seconds of steps of a millisecond
            now += 0.001
            report.tick(ask)
        report.pause()
        assert expected - 1 <= asked <= expected + 1


def test_the_screen_shows_losses_rival_and_sample() -> None:
    text = io.StringIO()
    report = Screen(Console(file=text, force_terminal=True, width=100, color_system=None))
    report.begin(Measure("char"), ("5-gram counts", 1.669))
    report.validated(status(50, 10.0), "To be\x1b[2Jor not")
    report.pause()
    shown = text.getvalue()
    assert re.search(r"step 50 of 100 +epoch 1.00", shown)
    assert re.search(r"nats/char +bits/char", shown)
    for name, loss in (("training", 1.5), ("validation", 2.0), ("best so far", 1.9), ("5-gram counts", 1.669)):
        assert re.search(rf"{name} +{loss:.3f} +{bits(loss):.3f}", shown), name
    assert "To be·[2Jor not" in shown, "a sample must not command the terminal"


def test_a_terminal_gets_a_screen_and_a_pipe_gets_lines() -> None:
    assert isinstance(report_for(Console(file=io.StringIO(), force_terminal=True)), Screen)
    assert isinstance(report_for(Console(file=io.StringIO(), force_terminal=False)), Lines)


@pytest.mark.parametrize(("seconds", "shown"), [(0, "0:00"), (83.4, "1:23"), (3700, "1:01:40"), (-1, "0:00")])
def test_clock(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown


def test_printable_keeps_text_and_line_breaks() -> None:
    assert printable("né\tà\n雪\x07\r") == "né\tà\n雪··"


def test_a_meter_shows_itself_late_on_terminals_only_and_goes():
    def shown(*, terminal: bool, after: float) -> str:
        text = io.StringIO()
        console = Console(file=text, force_terminal=terminal, width=80, color_system=None)
        with meter("forecasting", console, after=after) as progress:
            for done in range(10):
                progress(done, 10)
        return text.getvalue()

    said = shown(terminal=True, after=0.0)
    assert "forecasting" in said
    assert said.endswith("\x1b[2K")  # the line is wiped
    assert shown(terminal=True, after=60.0) == ""
    assert shown(terminal=False, after=0.0) == ""
