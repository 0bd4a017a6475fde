"""The 1,000 classes of ImageNet (ILSVRC 2012) in the order of every classifier: by their WordNet ids.

The lists are those that timm ships; they are read as text, so that nothing slow is imported.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from pipeline.errors import UserError, nearest

LISTS = Path("data", "_info")


@cache
def wordnet_ids() -> tuple[str, ...]:
    """The ids, such as n01440764; their places are the numbers of the classes, 0 to 999."""
    return tuple(_lines("imagenet_synsets.txt"))


@cache
def class_names() -> tuple[str, ...]:
    """A name of its own for each class, such as "cheetah", in the order of `wordnet_ids`."""
    words = dict(line.split("\t", 1) for line in _lines("imagenet_synset_to_lemma.txt"))
    return short_names([words[each] for each in wordnet_ids()], wordnet_ids())


def short_names(words: Sequence[str], ids: Sequence[str]) -> tuple[str, ...]:
    """The first of the words of each class ("cheetah, chetah, Acinonyx jubatus").

    Where that is another class's first word too, all words; where these are too, with the class's id.
    """
    firsts = [each.split(", ")[0] for each in words]
    shared, twice = Counter(first.lower() for first in firsts), Counter(words)

    def name(first: str, every: str, wordnet_id: str) -> str:
        if shared[first.lower()] == 1:
            return first
        return every if twice[every] == 1 else f"{every} ({wordnet_id})"

    return tuple(map(name, firsts, words, ids))


def class_numbers(chosen: Iterable[int | str], where: str) -> list[int]:
    """The numbers of classes that are given as numbers, WordNet ids or names, in that order.

    where: the option, as a message begins. UserError for a class that there is not, or that is given twice.
    """
    numbers: list[int] = []
    for each in chosen:
        number = _number(each, where)
        if number in numbers:
            raise UserError(f"{where} names the class {number} ({class_names()[number]}) twice; name it once.")
        numbers.append(number)
    return numbers


def _number(chosen: int | str, where: str) -> int:
    names, ids = class_names(), wordnet_ids()
    if isinstance(chosen, int) and 0 <= chosen < len(ids):
        return chosen
    for known in (ids, names):
        if chosen in known:
            return known.index(chosen)
    close = nearest(str(chosen), names) if isinstance(chosen, str) else None
    hint = f"did you mean '{close}'?" if close else "write a number from 0 to 999, an id such as n02130308, or a name."
    raise UserError(f"{where}: there is no class '{chosen}' in ImageNet; {hint}")


def _lines(name: str) -> list[str]:
    folder = Path(next(iter(find_spec("timm").submodule_search_locations)))
    return (folder / LISTS / name).read_text(encoding="utf-8").splitlines()
