"""What every model is: a scikit-learn style estimator that scores rows of features and can be kept as text."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator

from models.errors import WrongColumns

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class State:
    """All that a fitted model has learned.

    Parameters
    ----------
    parameters : mapping
        Plain JSON values.
    texts : mapping of str to str
        Further files in their native text format, by file name (a LightGBM booster).
    """

    parameters: Mapping[str, Any]
    texts: Mapping[str, str] = field(default_factory=dict)


class Model(BaseEstimator, ABC):  # type: ignore[misc]
    """Base of all families' models.

    A subclass takes its settings in `__init__` as attributes of the same name, learns in `fit` into attributes that
    end in ``_``, and holds no reference to the data.

    Attributes
    ----------
    columns_ : tuple of str
        The feature columns it was fitted on, in order.
    warnings_ : tuple of str
        What a reader of its scores should know, in plain words.
    """

    columns_: tuple[str, ...]
    warnings_: tuple[str, ...] = ()

    learns_from_past: ClassVar[bool] = False
    """Whether `fit` takes rows at earlier prediction times with what followed, as ``past``."""

    @abstractmethod
    def fit(self, rows: pd.DataFrame, target: Array | None = None) -> Self:
        """Learn from rows.

        Parameters
        ----------
        rows : pandas.DataFrame, shape (n_rows, n_features)
            Features as `features.engine.builder.feature_frame` lays them out. Rows with one index label are of one
            customer.
        target : ndarray of shape (n_rows,), optional
            What to learn, for supervised families.

        Returns
        -------
        Model
            Itself.
        """

    @abstractmethod
    def score(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Score rows: one row each, the family's output columns, index 0 to n-1.

        Raises
        ------
        WrongColumns
            If the columns are not exactly the model's, in its order.
        """

    @abstractmethod
    def explain(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Contribution of each factor to each row's score, relative to an average customer."""

    def reason_values(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Value of each factor of `explain`, as a reader knows it: the features, unless a family says more."""
        return self._check_columns(rows)

    @abstractmethod
    def state(self) -> State:
        """What was learned, as text."""

    @classmethod
    @abstractmethod
    def from_state(cls, state: State) -> Self:
        """Make the fitted model again."""

    def fitted_parameters(self) -> dict[str, float]:
        """Learned numbers that a reader knows by name; empty for black boxes."""
        return {}

    def _check_columns(self, rows: pd.DataFrame) -> pd.DataFrame:
        check_columns(self.columns_, list(rows.columns))
        return rows


def check_columns(expected: Sequence[str], found: Sequence[str]) -> None:
    """Refuse rows whose columns are not the model's.

    Raises
    ------
    WrongColumns
        If any is missing, unknown or out of order.
    """
    if list(expected) != list(found):
        raise WrongColumns(expected, found)


def column(rows: pd.DataFrame, name: str) -> Array:
    """A column as contiguous float64: one memory layout, so that a row scores the same alone and among others."""
    return np.ascontiguousarray(rows[name].to_numpy(dtype=np.float64))


def plain(values: npt.NDArray[Any]) -> list[Any]:
    """An array as plain Python values that JSON keeps exactly."""
    return values.tolist()  # type: ignore[no-any-return]
