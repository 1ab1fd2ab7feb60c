"""Whether what several clients saw at once could have been seen one after the other: a search after Wing and Gong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Seen(NamedTuple):
    """A call about one thing that is there or not: when it began and ended, and what it did or said."""

    begin: float
    end: float
    act: str  # "add", "remove" or "look"
    answer: bool  # it was done; or, of a look, it is there


def _after(seen: Seen, is_there: bool) -> bool | None:
    """Whether the thing is there afterwards; None when the answer could not have been."""
    if seen.act == "look":
        return is_there if seen.answer == is_there else None
    adds = seen.act == "add"
    if seen.answer == (is_there == adds):  # done, though there was nothing to do; or not done, though there was
        return None
    return adds if seen.answer else is_there


def is_linearizable(history: Sequence[Seen], *, is_there: bool = False) -> bool:
    """Whether there is an order of the calls, each within its time, in which every answer is right."""
    tried: set[tuple[frozenset[int], bool]] = set()

    def search(left: frozenset[int], state: bool) -> bool:
        if not left:
            return True
        if (left, state) in tried:
            return False
        tried.add((left, state))
        first_end = min(history[index].end for index in left)
        for index in left:
            if history[index].begin <= first_end:
                after = _after(history[index], state)
                if after is not None and search(left - {index}, after):
                    return True
        return False

    return search(frozenset(range(len(history))), is_there)
