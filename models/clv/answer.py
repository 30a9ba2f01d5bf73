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
        Predictive intervals of orders, and of their value in expected order values.
    waits : mapping of str to ndarray of shape (n,)
        Days to the next order.

    Returns
    -------
    pandas.DataFrame
        `COLUMNS`. Money is in the profile's currency and in today's terms:
        ``clv = probability_active * discounted_orders_if_active * expected_order_value * margin_rate + clv_from_cost``
        and ``clv = clv_of_average + clv_from_active + clv_from_orders + clv_from_order_value + clv_from_margin +
        clv_from_cost``. The margin rate is everyone's: see `models.clv.margins` for the customer's own.
        What margin and discount make of the mean they make of every bound.
    """
    worth = terms.margin_rate * order_value
    in_today = np.divide(discounted_orders, expected_orders, out=np.ones_like(worth), where=expected_orders > 0)
    cost = -terms.cost_to_serve * probability_active
    may_order = probability_active > LEAST
    if_active = np.divide(discounted_orders, probability_active, out=np.zeros_like(worth), where=may_order)
    factors = {
        "probability_active": probability_active,
        "discounted_orders_if_active": if_active,
        "expected_order_value": order_value,
        "margin_rate": np.full_like(worth, terms.margin_rate),
    }
    columns = {
        "probability_active": probability_active,
        "expected_orders": expected_orders,
        "expected_order_value": order_value,
        "margin_rate": factors["margin_rate"],
        "clv": terms.value(probability_active, discounted_orders, order_value),
        **{f"expected_orders_{name}": bound for name, bound in bounds.orders.items()},
        **{f"clv_{name}": worth * in_today * bound + cost for name, bound in bounds.value.items()},
        "clv_standard_deviation": worth * in_today * bounds.deviation,
        "discounted_orders_if_active": if_active,
        **decompose(factors, {**average, "margin_rate": terms.margin_rate}),
        "clv_from_cost": cost + 0.0,  # not -0.0
        **waits,
        "evidence": by_order_days(histories.frequency),
    }
    return pd.DataFrame({name: columns[name] for name in COLUMNS})
