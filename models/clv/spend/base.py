"""What a spend model can do, whatever its story of what customers pay."""

from typing import ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from models.base import Array


class SpendModel(Protocol):
    """A fitted distribution of the value of an order day."""

    kind: ClassVar[str]
    title: ClassVar[str]

    @property
    def parameters(self) -> dict[str, float]:
        """Named as in the literature, in the order in which the class takes them."""

    def log_likelihood(self, frequency: Array, monetary_value: Array) -> float:
        """Log-likelihood of the mean values of repeat buyers."""

    def expected_order_value(self, frequency: Array, monetary_value: Array) -> Array:
        """Expected value of a future order day, shape (n,)."""


def spenders(frequency: Array, monetary_value: Array) -> npt.NDArray[np.bool_]:
    """Which customers have a repeat order of positive value."""
    return np.asarray((frequency > 0) & (np.nan_to_num(monetary_value) > 0))
