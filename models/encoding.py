"""Names to numbers: the one place where text features become columns of a matrix."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from models.base import Array, column

MAXIMUM_LEVELS = 200


def names_for_trees(columns: Sequence[str]) -> list[str]:
    """What LightGBM calls columns: it refuses quotes, commas and brackets, which a company's own names may hold.

    Examples
    --------
    >>> names_for_trees(["frequency", 'size "EU"'])
    ['frequency', 'column#1']
    """
    return [name if name.isidentifier() else f"column#{i}" for i, name in enumerate(columns)]


@dataclass(frozen=True)
class Encoder:
    """Lay rows out as a float64 matrix, with a code for each known name.

    Parameters
    ----------
    columns : tuple of str
        The columns, in order.
    levels : dict of str to tuple of str
        For text columns: the names seen when fitted, most frequent first. A missing name is NaN, one never seen is
        the code after the last.
    """

    columns: tuple[str, ...]
    levels: dict[str, tuple[str, ...]]

    @classmethod
    def fit(cls, rows: pd.DataFrame) -> Self:
        """Learn the names of the text columns."""
        levels = {}
        for name in rows.columns:
            if rows[name].dtype == object:
                counts = rows[name].dropna().value_counts()
                ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
                levels[str(name)] = tuple(str(level) for level, _ in ordered[:MAXIMUM_LEVELS])
        return cls(tuple(map(str, rows.columns)), levels)

    @property
    def text_columns(self) -> list[int]:
        """Positions of the text columns."""
        return [i for i, name in enumerate(self.columns) if name in self.levels]

    def transform(self, rows: pd.DataFrame) -> Array:
        """The matrix, shape (n_rows, n_columns), row-contiguous."""
        matrix = np.empty((len(rows), len(self.columns)))
        for i, name in enumerate(self.columns):
            matrix[:, i] = self._codes(rows[name], self.levels[name]) if name in self.levels else column(rows, name)
        return matrix

    @staticmethod
    def _codes(names: pd.Series, levels: tuple[str, ...]) -> Array:
        codes = {level: float(i) for i, level in enumerate(levels)}
        unseen = float(len(levels))
        found = np.array([codes.get(name, unseen) for name in names], dtype=np.float64)
        found[names.isna()] = np.nan
        return found

    def state(self) -> dict[str, Any]:
        """As JSON."""
        return {"columns": list(self.columns), "levels": {name: list(levels) for name, levels in self.levels.items()}}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """From JSON."""
        return cls(tuple(state["columns"]), {name: tuple(levels) for name, levels in state["levels"].items()})
