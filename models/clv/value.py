"""From expected orders to money: margin over a horizon, discounted."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from models.base import Array
from models.errors import ParameterOutOfRange

STEP_DAYS = 30.0
DAYS_A_YEAR = 365.0
MOST_COST = 1e14


@dataclass(frozen=True)
class Terms:
    """On what terms future orders are valued.

    Parameters
    ----------
    horizon_days : float
        How far ahead orders count.
    annual_discount_rate : float
        0.1 makes an order in a year worth 1 / 1.1 of one today.
    margin_rate : float
        Contribution as a share of order value; 1 values revenue.
    annual_cost_to_serve : float
        What an active customer costs in a year besides the orders, in the profile's currency.
    """

    horizon_days: float
    annual_discount_rate: float
    margin_rate: float
    annual_cost_to_serve: float = 0.0

    def __post_init__(self) -> None:
        """Refuse terms that make no sense.

        Raises
        ------
        ParameterOutOfRange
            If the horizon is not above 0, the discount rate or the cost below 0 or the margin outside (0, 1].
        """
        if not 0 < self.horizon_days <= 36_500:
            raise ParameterOutOfRange("horizon_days", self.horizon_days, "more than 0, at most 36500")
        if not 0 <= self.annual_discount_rate <= 10:
            raise ParameterOutOfRange("annual_discount_rate", self.annual_discount_rate, "0 to 10 a year")
        if not 0 < self.margin_rate <= 1:
            raise ParameterOutOfRange("margin_rate", self.margin_rate, "more than 0, at most 1")
        if not 0 <= self.annual_cost_to_serve < MOST_COST:
            raise ParameterOutOfRange("annual_cost_to_serve", self.annual_cost_to_serve, "0 or more, in currency")

    @property
    def _steps(self) -> list[tuple[float, float, float]]:
        """Start and end of each step of the horizon, and what money in its middle is worth today."""
        edges = np.linspace(0, self.horizon_days, int(np.ceil(self.horizon_days / STEP_DAYS)) + 1)
        discount = 1 + self.annual_discount_rate
        return [
            (float(start), float(end), float(discount ** (-(start + end) / 2 / DAYS_A_YEAR)))
            for start, end in pairwise(edges)
        ]

    @property
    def cost_to_serve(self) -> float:
        """What a customer who stays active costs over the horizon, in today's terms."""
        return self.annual_cost_to_serve * sum((end - start) * worth for start, end, worth in self._steps) / DAYS_A_YEAR

    def discounted_orders(self, expected_orders: Callable[[float], Array]) -> Array:
        """Expected orders of the horizon in today's terms.

        The horizon is cut into steps of at most 30 days; the orders of a step count as placed in its middle.

        Parameters
        ----------
        expected_orders : callable
            From days ahead to expected orders by then, shape (n,).
        """
        so_far: Array | float = 0.0
        discounted: Array | float = 0.0
        for _, end, worth in self._steps:
            by_then = expected_orders(end)
            discounted = discounted + worth * (by_then - so_far)
            so_far = by_then
        return np.asarray(discounted)

    def value(
        self,
        probability_active: Array,
        discounted_orders: Array,
        order_value: Array,
        margin_rates: Array | None = None,
    ) -> Array:
        """Expected value of customers over the horizon: margin of their orders less the cost to serve.

        Margin rates are the terms' unless customers have their own.
        """
        rates = self.margin_rate if margin_rates is None else margin_rates
        return rates * order_value * discounted_orders - self.cost_to_serve * probability_active
