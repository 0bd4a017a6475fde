"""How far a stage has come, told on standard output; standard error is left to the rule's log."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Protocol

EVERY = 10.0  # seconds between two lines


class Bar(Protocol):
    """Something that counts rows."""

    def advance(self, rows: int = 1) -> None:
        """Count `rows` more that are done."""

    def foresee(self, rows: float) -> None:
        """Say how far those have come that are in the making: so many rows' worth of work, until the next advance."""


@contextlib.contextmanager
def bar(label: str, total: int, *, every: float = EVERY, clock: Callable[[], float] = time.monotonic) -> Iterator[Bar]:
    """Show how many of `total` rows are done while the block runs: `with bar("predict smile-cnn", 3584) as rows`.

    On a terminal it is a moving bar; elsewhere a line at the start, one at the end, and between them at most one in
    `every` seconds, such as `predict smile-cnn  1,024/3,584 rows  4 s`, with the share of the work that is done where
    rows are in the making: `saliency smile-cnn fido  0/24 rows (38%)  1 min 2 s`.
    """
    if sys.stdout.isatty():
        with _moving(label, total) as moving:
            yield moving
        return
    lines = _Lines(label, total, every, clock)
    try:
        yield lines
    except BaseException:
        lines.say("stopped at ")
        raise
    lines.say()


class _Lines:
    """A bar that is told in lines."""

    def __init__(self, label: str, total: int, every: float, clock: Callable[[], float]):
        self.label, self.total, self.every, self.clock = label, total, every, clock
        self.done, self.coming = 0, 0.0
        self.started = self.said = clock()
        print(f"{label}  {total:,} rows", flush=True)

    def advance(self, rows: int = 1) -> None:
        self.done, self.coming = self.done + rows, 0.0
        self.tell()

    def foresee(self, rows: float) -> None:
        self.coming = rows
        self.tell()

    def tell(self) -> None:
        if self.clock() - self.said >= self.every:
            self.say()

    def say(self, how: str = "") -> None:
        self.said = self.clock()
        share = f" ({(self.done + self.coming) / self.total:.0%})" if self.coming else ""
        taken = duration(self.said - self.started)
        print(f"{self.label}  {how}{self.done:,}/{self.total:,} rows{share}  {taken}", flush=True)


class _Moving:
    """A bar that moves on a terminal."""

    def __init__(self, progress, task):
        self.progress, self.task, self.done = progress, task, 0

    def advance(self, rows: int = 1) -> None:
        self.done += rows
        self.foresee(0)

    def foresee(self, rows: float) -> None:
        self.progress.update(self.task, completed=self.done + rows, done=self.done)


@contextlib.contextmanager
def _moving(label: str, total: int) -> Iterator[_Moving]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    counted = TextColumn("{task.fields[done]:,}/{task.total:,.0f} rows")
    columns = (TextColumn("{task.description}"), BarColumn(), counted, TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=sys.stdout)) as progress:
        yield _Moving(progress, progress.add_task(label, total=total, done=0))


def duration(seconds: float) -> str:
    """Return a span of time as a person says it: `4 s`, `2 min 5 s`, `3 h 20 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
