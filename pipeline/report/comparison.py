"""Which method is the best by a metric, and which others can be told from it: the same for every family."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Self

from pipeline.metrics.paired import holm
from pipeline.report.results import Row


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Methods by one metric on the same images: the best is held against all others, and all against the references.

    Of many comparisons some differ by chance, so they are adjusted for their number (Holm 1979). That the best was
    chosen by the same values is not adjusted for: of 8 equal methods one is said to be beaten in 12 % of the columns
    rather than 5 %, and in 50 % without the adjustment.

    rows: method -> row of the metrics. differences: (method, other method) -> row on the mean difference of the two, in
    either order. better: "higher" or "lower". references: what all methods are held against too, such as controls; they
    need no rows.
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
        """The better one of every two that are compared; None where they are not distinguishable."""
        held = [(self.best, other) for other in self.rows] + list(product(self.rows, self.references))
        found = {
            frozenset(pair): pair
            for pair in (*held, *((other, one) for one, other in held))
            if pair in self.differences and self.differences[pair]["p"] is not None
        }
        adjusted = holm([self.differences[pair]["p"] for pair in found.values()])
        return {
            both: self.winner(pair) if p < 1 - self.confidence else None
            for (both, pair), p in zip(found.items(), adjusted, strict=True)
        }

    def winner(self, pair: tuple[str, str]) -> str:
        """The one with the better mean."""
        higher = self.differences[pair]["value"] > 0
        return pair[0] if higher == (self.better == "higher") else pair[1]

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

    def mark(self, method: str) -> str:
        """How a method stands beside the others: the best, not distinguishable from it, or neither.

        There is no best where none is shown to be better or worse than it, as where all have the worst value.
        """
        others = [other for other in self.rows if other != self.best]
        if all(
            self.rows[other]["value"] == self.rows[self.best]["value"] or self.level(other, self.best)
            for other in others
        ):
            return ""
        return "best" if method == self.best else "level" if self.level(method, self.best) else ""
