import io
import sys

import pytest

from pipeline.progress import bar, duration


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_a_log_gets_a_line_at_the_start_at_the_end_and_every_ten_seconds_between(capsys):
    clock = Clock()
    with bar("predict smile-cnn", 3584, clock=clock) as rows:
        for _ in range(7):
            clock.now += 4.0
            rows.advance(512)
    output = capsys.readouterr()
    assert output.out.splitlines() == [
        "predict smile-cnn  3,584 rows",
        "predict smile-cnn  1,536/3,584 rows  12 s",
        "predict smile-cnn  3,072/3,584 rows  24 s",
        "predict smile-cnn  3,584/3,584 rows  28 s",
    ]
    assert output.err == ""


def test_rows_in_the_making_are_told_as_a_share_of_the_work(capsys):
    clock = Clock()
    with bar("saliency fido", 24, clock=clock) as rows:
        for more, coming in ((12, 6), (0, 9), (12, 0)):
            rows.advance(more)
            clock.now += 10.0
            rows.foresee(coming)
    told = ["24 rows", "12/24 rows (75%)  10 s", "12/24 rows (88%)  20 s", "24/24 rows  30 s", "24/24 rows  30 s"]
    assert capsys.readouterr().out.splitlines() == [f"saliency fido  {each}" for each in told]


def test_a_bar_that_is_interrupted_says_how_far_it_came(capsys):
    with pytest.raises(KeyboardInterrupt), bar("encode", 10) as rows:
        rows.advance(3)
        raise KeyboardInterrupt
    assert capsys.readouterr().out.splitlines()[-1] == "encode  stopped at 3/10 rows  0 s"


def test_a_terminal_gets_a_moving_bar_and_no_lines(monkeypatch, capsys):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with bar("encode", 1024) as rows:
        rows.foresee(512.5)
        assert "0/1,024 rows" in terminal.getvalue()
        rows.advance(1024)
    assert "1,024/1,024 rows" in terminal.getvalue() and "\x1b[" in terminal.getvalue()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.4, "0 s"), (59.6, "1 min 0 s"), (125, "2 min 5 s"), (12000, "3 h 20 min")]
)
def test_durations_are_said_as_a_person_says_them(seconds, said):
    assert duration(seconds) == said
