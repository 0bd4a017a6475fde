"""The two errors that the pipeline raises on purpose: one for the person, one for single rows."""

import difflib
from collections.abc import Iterable, Mapping


class UserError(Exception):
    """Something that the person who runs a study can put right.

    The message is one sentence for that person: what is wrong, where, what to do, and a valid value. The command
    line prints it without a traceback and exits with status 2.
    """


class RowFailure(Exception):
    """Some rows of a batch cannot be computed, and never will be by trying again.

    reasons: position in the batch -> why, as a phrase that can stand in the `reason` column. Raised by code that
    computes batches; the row store keeps those rows as failed and computes the others. Running out of memory or
    disk is not such a failure: it depends on the machine, not on the row.
    """

    def __init__(self, reasons: Mapping[int, str]):
        self.reasons = dict(reasons)
        super().__init__("; ".join(f"row {position} of the batch: {reason}" for position, reason in reasons.items()))


def nearest(word: str, valid: Iterable[str]) -> str | None:
    """Return the valid word that is spelled most like `word`, or None where none comes close.

    Upper and lower case, `-` and `_` count as the same letter.
    """

    def folded(text: str) -> str:
        return text.lower().replace("_", "-")

    by_spelling = {folded(candidate): candidate for candidate in sorted(valid, reverse=True)}
    matches = difflib.get_close_matches(folded(word), by_spelling, n=1, cutoff=0.6)
    return by_spelling[matches[0]] if matches else None
