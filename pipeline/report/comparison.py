"""Which method is the best by a metric, and which others can be told from it: the same for every family."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

from pipeline.metrics.paired import holm
from pipeline.report.results import Row


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Methods by one metric on the same images: the best is held against all others, and all against each reference.

    Of many comparisons some differ by chance, so those with the best, and those with each reference, are adjusted for
    their number (Holm 1979). That the best was chosen by the same values is not adjusted for: of 8 equal methods one is
    said to be beaten in 12 % of the columns rather than 5 %, and in 50 % without the adjustment.

    rows: method -> row of the metrics. differences: (method, other method) -> row on the mean difference of the two, in
    either order. better: "higher" or "lower". references: what all methods are held against too, such as a random map.
    """

    rows: dict[str, Row]
    differences: dict[tuple[str, str], Row]
    better: str
    confidence: float
    references: Sequence[str] = ()

    @property
    def best(self) -> str:
        """The method with the best value."""
        choose = max if self.better == "higher" else min
        return choose(self.rows, key=lambda method: self.rows[method]["value"])

    @cached_property
    def winners(self) -> dict[frozenset[str], str | None]:
        """The better one of every two methods that are compared; None where they are not distinguishable."""
        return {
            pair: winner for one in (*self.references, self.best) for pair, winner in self.held_against(one).items()
        }

    def held_against(self, one: str) -> dict[frozenset[str], str | None]:
        """The better one of `one` and each method that is compared with it, adjusted for the number of these."""
        found = {
            frozenset((one, other)): row
            for other in self.rows
            for row in (self.differences.get((one, other)), self.differences.get((other, one)))
            if row is not None and row["p"] is not None
        }
        adjusted = holm([row["p"] for row in found.values()])
        return {
            pair: self.winner(row) if p < 1 - self.confidence else None
            for (pair, row), p in zip(found.items(), adjusted, strict=True)
        }

    def winner(self, difference: Row) -> str:
        """The method with the better mean."""
        higher = difference["value"] > 0
        if higher == (self.better == "higher"):
            return difference["method"]
        return difference["compared_with"] or difference["control"]

    def among(self, methods: Iterable[str]) -> Self:
        """The same comparison of some of its methods alone."""
        return replace(self, rows={method: self.rows[method] for method in methods if method in self.rows})

    def compared(self, method: str, other: str) -> bool:
        """Whether two methods are held against each other."""
        return frozenset((method, other)) in self.winners

    def beats(self, method: str, other: str) -> bool:
        """Whether a method is shown to be better than another."""
        return self.winners.get(frozenset((method, other))) == method

    def level(self, method: str, other: str) -> bool:
        """Whether two methods were compared and cannot be told apart."""
        return self.compared(method, other) and self.winners[frozenset((method, other))] is None

    def equal(self, method: str, other: str) -> bool:
        """Whether two methods have the same value."""
        return self.rows[method]["value"] == self.rows[other]["value"]

    def mark(self, method: str) -> str:
        """How a method stands beside the others: the best, not distinguishable from it, or neither.

        There is no best where none is shown to be worse than it, as where all have the worst value.
        """
        others = [other for other in self.rows if other != self.best]
        if all(self.equal(other, self.best) or self.level(other, self.best) for other in others):
            return ""
        return "best" if method == self.best else "level" if self.level(method, self.best) else ""
