"""A hint at what a misspelled word was meant to be."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.errors import nearest


def meant(word: str, valid: Iterable[str]) -> str:
    """' (did you mean "cats"?)' to stand behind a wrong word, or nothing where no valid word comes close."""
    close = nearest(word, valid)
    return f' (did you mean "{close}"?)' if close else ""
