"""The two errors that the pipeline raises on purpose, for the person and for single rows; and those of the machine."""

import difflib
import errno
from collections.abc import Iterable, Mapping


class UserError(Exception):
    """Something that the person who runs a study can put right.

    The message is one sentence for that person: what is wrong, where, what to do, and a valid value. The command
    line prints it without a traceback and exits with status 2.
    """


class RowFailure(Exception):
    """Some rows of a batch cannot be computed, and never will be by trying again.

    reasons: position in the batch -> why, as a phrase that can stand in the `reason` column. Raised by code that
    computes batches; those rows are kept as failed and the others are computed. Running out of memory or
    disk is not such a failure: it depends on the machine, not on the row.
    """

    def __init__(self, reasons: Mapping[int, str]):
        self.reasons = dict(reasons)
        super().__init__("; ".join(f"row {position} of the batch: {reason}" for position, reason in reasons.items()))


LACKING = {
    errno.ENOSPC: "the disk is full; free some room (`make store` says which rows no study needs)",
    errno.EDQUOT: "your share of the disk is used up; free some room (`make store` says which rows no study needs)",
    errno.EFBIG: "a file grew larger than is allowed here (ulimit -f); raise that limit",
    errno.EIO: "the disk could not be read or written; check it, or move the folder to another one",
    errno.ENOMEM: "there is not enough memory; close other programs, or run fewer jobs at once",
}


def lacking(error: BaseException) -> str | None:
    """Say in one sentence what the machine lacked (memory, or a disk with room that works); None for other errors."""
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, MemoryError):
        number = errno.ENOMEM
    if type(error).__name__ == "OutOfMemoryError":  # of torch, which need not be imported here
        return "the card has not enough memory; free it of other programs, or take a larger one, and run again"
    if number not in LACKING:
        return None
    where = f"{error.filename}: " if getattr(error, "filename", None) else ""
    return f"{where}{LACKING[number]}, and run again: finished rows are kept"


def nearest(word: str, valid: Iterable[str]) -> str | None:
    """Return the valid word that is spelled most like `word`, or None where none comes close.

    Upper and lower case, `-` and `_` count as the same letter.
    """

    def folded(text: str) -> str:
        return text.lower().replace("_", "-")

    by_spelling = {folded(candidate): candidate for candidate in sorted(valid, reverse=True)}
    matches = difflib.get_close_matches(folded(word), by_spelling, n=1, cutoff=0.6)
    return by_spelling[matches[0]] if matches else None


def alternatives(values: Iterable[str]) -> str:
    """Several words as "a, b or c"."""
    *before, last = values
    return f"{', '.join(before)} or {last}" if before else last


def listed(words: Iterable[str], most: int = 5) -> str:
    """The first few words, and how many more there are."""
    words = list(words)
    return ", ".join(words[:most]) + (f" and {len(words) - most} more" if len(words) > most else "")
