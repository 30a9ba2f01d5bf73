"""What every lifetime value family answers, customer by customer: one table of columns, made in one place."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from models.base import Array
from models.clv.decomposition import STEPS, decompose
from models.clv.histories import Histories
from models.clv.intervals import LEVELS, Bounds
from models.clv.next_order import LEVELS as WAITS
from models.clv.value import Terms
from models.evidence import by_order_days

COLUMNS: dict[str, type] = {
    "probability_active": float,
    "expected_orders": float,
    "expected_order_value": float,
    "margin_rate": float,
    "clv": float,
    **{f"expected_orders_{level}": float for level in LEVELS},
    **{f"clv_{level}": float for level in LEVELS},
    "clv_standard_deviation": float,
    "discounted_orders_if_active": float,
    "clv_of_average": float,
    **dict.fromkeys(STEPS, float),
    "clv_from_cost": float,
    **dict.fromkeys(WAITS, float),
    "evidence": str,
}

LEAST = 1e-290
"""Below this probability nobody is active: what is divided by it would pass every number."""


def answer(
    histories: Histories,
    terms: Terms,
    average: Mapping[str, float],
    *,
    probability_active: Array,
    expected_orders: Array,
    discounted_orders: Array,
    order_value: Array,
    bounds: Bounds,
    waits: Mapping[str, Array],
    margin_rates: Array | None = None,
) -> pd.DataFrame:
    """Lay out what is expected of customers as the columns of every family.

    Parameters
    ----------
    histories : Histories
        Of n customers.
    terms : Terms
        On what terms orders are valued.
    average : mapping of str to float
        Factors of an average customer: see `models.clv.decomposition.decompose`.
    probability_active, expected_orders, discounted_orders, order_value : ndarray of shape (n,)
        What is expected of the horizon.
    bounds : Bounds
        Predictive intervals of orders, and of their value in expected order values; where serving costs, also with
        those ranked last who are gone.
    waits : mapping of str to ndarray of shape (n,)
        Days to the next order.
    margin_rates : ndarray of shape (n,), optional
        Margin rate of each customer; without it, that of the terms.

    Returns
    -------
    pandas.DataFrame
        `COLUMNS`. Money is in the profile's currency and in today's terms:
        ``clv = probability_active * discounted_orders_if_active * expected_order_value * margin_rate + clv_from_cost``
        and ``clv = clv_of_average + clv_from_active + clv_from_orders + clv_from_order_value + clv_from_margin +
        clv_from_cost``. What margin and discount make of the mean they make of every bound; the cost to serve is
        borne by who is active, and by nobody else.
    """
    rates = np.full(len(order_value), terms.margin_rate) if margin_rates is None else margin_rates
    in_today = np.divide(discounted_orders, expected_orders, out=np.ones_like(rates), where=expected_orders > 0)
    worth, cost = rates * order_value * in_today, terms.cost_to_serve
    of_cost = -cost * probability_active
    # value w R - c of who is active, 0 of who is gone: the variance of w R, of the cost, and what they have in common
    together = cost * (1 - probability_active) * (cost * probability_active - 2 * worth * expected_orders)
    variance = np.square(worth * bounds.deviation) + together
    may_order = probability_active > LEAST
    if_active = np.divide(discounted_orders, probability_active, out=np.zeros_like(rates), where=may_order)
    factors = {
        "probability_active": probability_active,
        "discounted_orders_if_active": if_active,
        "expected_order_value": order_value,
        "margin_rate": rates,
    }
    columns = {
        "probability_active": probability_active,
        "expected_orders": expected_orders,
        "expected_order_value": order_value,
        "margin_rate": rates,
        "clv": terms.value(probability_active, discounted_orders, order_value, rates),
        **{f"expected_orders_{name}": bound for name, bound in bounds.orders.items()},
        **{f"clv_{name}": bound for name, bound in bounds.less_cost(worth, cost).items()},
        "clv_standard_deviation": np.sqrt(np.maximum(variance, 0.0)) if cost else worth * bounds.deviation,
        "discounted_orders_if_active": if_active,
        **decompose(factors, {**average, "margin_rate": terms.margin_rate}),
        "clv_from_cost": of_cost + 0.0,  # not -0.0
        **waits,
        "evidence": by_order_days(histories.frequency),
    }
    return pd.DataFrame({name: columns[name] for name in COLUMNS})
