"""Several models of ordering and dropping out read as one: what they expect, averaged on the log scale."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol, Self

import numpy as np
from scipy.special import expit

from models.base import Array
from models.churn.calibration import log_odds
from models.clv.bgnbd import BgNbd, Histories, fit_bgnbd

LEAST_ORDERS = 1e-6
"""Expected orders below this are taken as this much, so that they have a logarithm."""


class OrdersModel(Protocol):
    """A fitted distribution of ordering and dropping out; a frozen dataclass of its parameters."""

    def probability_active(self, histories: Histories) -> Array:
        """Probability that each customer may order again."""

    def expected_orders(self, histories: Histories, horizon_days: float) -> Array:
        """Expected order days in the next days."""

    def probability_no_order(self, histories: Histories, horizon_days: float) -> Array:
        """Probability of no order in the next days."""


Fit = Callable[[Histories], tuple[OrdersModel, tuple[str, ...]]]

ORDERS_MODELS: Mapping[str, tuple[Fit, Callable[..., OrdersModel]]] = {"bgnbd": (fit_bgnbd, BgNbd)}
"""What is averaged: how each is fitted, and how it is made again from its parameters."""


@dataclass(frozen=True)
class Consensus:
    """The average of several fitted models.

    Parameters
    ----------
    models : dict of str to OrdersModel
        By name in `ORDERS_MODELS`; at least one.
    """

    models: dict[str, OrdersModel]

    @classmethod
    def fit(cls, histories: Histories) -> tuple[Self, tuple[str, ...]]:
        """Fit every model to the histories.

        Returns
        -------
        consensus : Consensus
            All fitted.
        warnings : tuple of str
            Of all models, each once.

        Raises
        ------
        NoRepeatOrders
            If no customer ordered on two days.
        """
        patterns, models = histories.patterns(), {}
        warnings: list[str] = []
        for name, (fit, _) in ORDERS_MODELS.items():
            models[name], told = fit(patterns)
            warnings += told
        return cls(models), tuple(dict.fromkeys(warnings))

    def probability_active(self, histories: Histories) -> Array:
        """Mean probability that each customer may order again."""
        return self._mean(lambda model: model.probability_active(histories))

    def expected_orders(self, histories: Histories, horizon_days: float) -> Array:
        """Geometric mean of the expected order days in the next days; above 0."""
        return np.exp(
            self._mean(lambda model: np.log(np.maximum(model.expected_orders(histories, horizon_days), LEAST_ORDERS)))
        )

    def probability_no_order(self, histories: Histories, horizon_days: float) -> Array:
        """Probability of no order in the next days: the mean of the log-odds."""
        silent = self._mean(lambda model: log_odds(model.probability_no_order(histories, horizon_days)))
        return np.asarray(expit(silent), dtype=np.float64)

    def _mean(self, of: Callable[[OrdersModel], Array]) -> Array:
        return np.asarray(sum(of(model) for model in self.models.values()) / len(self.models), dtype=np.float64)

    def state(self) -> dict[str, Any]:
        """Parameters by model, as JSON."""
        return {name: asdict(model) for name, model in self.models.items()}  # type: ignore[call-overload]

    @classmethod
    def from_state(cls, state: Mapping[str, Mapping[str, float]]) -> Self:
        """Make the fitted models again."""
        return cls({name: ORDERS_MODELS[name][1](**parameters) for name, parameters in state.items()})
