"""Distinct histories found fast: whole days packed into one whole number each, and counted without comparing."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from models.base import Array

LARGEST = 2**53
"""Whole numbers up to this are exact in float64."""
CELLS_A_NUMBER, FEWEST_CELLS = 4, 65_536
"""A table of all numbers there may be is faster than sorting up to so many cells."""


class Packed(NamedTuple):
    """Several whole numbers a row as one.

    Parameters
    ----------
    numbers : ndarray of shape (n,)
        In the order of the rows.
    bases : tuple of int
        One more than the largest number of each column.
    """

    numbers: npt.NDArray[np.int64]
    bases: tuple[int, ...]

    @property
    def below(self) -> int:
        """One more than the largest number there may be."""
        return int(np.prod(self.bases))


def packed(columns: Sequence[Array]) -> Packed | None:
    """Pack columns of whole numbers into one; None where they are not whole, negative or too large."""
    if not len(columns[0]) or not all(np.all((values >= 0) & (values == np.trunc(values))) for values in columns):
        return None
    largest = [float(values.max()) + 1 for values in columns]
    if not np.prod(largest) < LARGEST:
        return None
    together = columns[0]
    for values, base in zip(columns[1:], largest[1:], strict=True):
        together = together * base + values
    return Packed(together.astype(np.int64), tuple(map(int, largest)))


def unpacked(numbers: npt.NDArray[np.int64], bases: Sequence[int]) -> list[Array]:
    """The columns that were packed."""
    columns: list[Array] = []
    for base in reversed(bases[1:]):
        numbers, last = np.divmod(numbers, base)
        columns.append(last.astype(np.float64))
    return [numbers.astype(np.float64), *reversed(columns)]


def distinct_whole(numbers: npt.NDArray[np.int64], below: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.intp]]:
    """Distinct whole numbers from 0 in order, and the place of each number among them."""
    if below > CELLS_A_NUMBER * numbers.size + FEWEST_CELLS:
        found, which = np.unique(numbers, return_inverse=True)
        return found, which.reshape(numbers.shape)
    is_there = np.zeros(below, dtype=np.bool_)
    is_there[numbers] = True
    found = np.flatnonzero(is_there)
    place = np.empty(below, dtype=np.intp)
    place[found] = np.arange(len(found))
    return found, place[numbers]


def distinct_rows(columns: Sequence[Array]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Distinct rows of any numbers, in their order: the first place of each, and which of them each row is."""
    first, which = np.zeros(0, dtype=np.intp), np.zeros(len(columns[0]), dtype=np.intp)
    for values in columns:  # numbered in their order, one column after the other
        found, place = np.unique(values, return_inverse=True)
        _, first, which = np.unique(which * len(found) + place, return_index=True, return_inverse=True)
    return first, which
