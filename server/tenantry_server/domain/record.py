"""Records of which every call makes several.

A frozen dataclass assigns each field through `object.__setattr__`, which makes it four times as dear to build as a plain one,
and building records is a good part of what a call costs. So these are frozen for the type checker, which `make lint` runs
over every line that could assign to one, and plain at run time.
"""

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(kw_only_default=True, frozen_default=True)
def record(cls: type[T]) -> type[T]:
    """Makes the class a dataclass of keyword fields, equal and hashed by its values, that nobody changes."""
    return dataclass(slots=True, kw_only=True, unsafe_hash=True)(cls)
