"""The public surface changes only on purpose: in the golden file, where a reviewer sees it."""

from __future__ import annotations

from difflib import unified_diff

from contract import surface as surface_module
from contract.surface import GOLDEN, surface


def test_the_surface_is_the_one_that_was_reviewed() -> None:
    reviewed = GOLDEN.read_text().splitlines()
    diff = list(unified_diff(reviewed, surface(), "tests/contract/surface.txt", "the protos", lineterm="", n=0))
    assert not diff, "\n".join([*diff, "", surface_module.__doc__ or ""])
