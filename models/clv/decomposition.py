"""Why this value: alive times orders times spend times margin, and in money against an average customer.

The steps are the logarithmic mean decomposition of [1]_: each factor is given the share of the difference that its log
ratio has in the log ratio of the values. They do not depend on the order of the factors, and add up with no rest.

References
----------
.. [1] Ang, B. W. (2005). The LMDI approach to decomposition analysis: a practical guide. Energy Policy 33(7), 867-871,
   equation (5).
"""

from collections.abc import Mapping

import numpy as np

from models.base import Array

STEPS = {
    "clv_from_active": "probability_active",
    "clv_from_orders": "discounted_orders_if_active",
    "clv_from_order_value": "expected_order_value",
    "clv_from_margin": "margin_rate",
}
"""The money that each factor adds to an average customer's value, by the factor's name."""
TINY = 1e-12


def decompose(factors: Mapping[str, Array], average: Mapping[str, float]) -> dict[str, Array]:
    """Split what a customer's orders are worth, before the cost to serve.

    Parameters
    ----------
    factors : mapping of str to ndarray of shape (n,)
        The factors that `STEPS` names, at least 0.
    average : mapping of str to float
        Those of an average customer.

    Returns
    -------
    dict of str to ndarray of shape (n,)
        `clv_of_average`, the same for all, and `STEPS`; together the product of the factors.
    """
    logs = {
        step: np.log(np.maximum(factors[factor], TINY) / max(average[factor], TINY)) for step, factor in STEPS.items()
    }
    together = sum(logs.values(), np.zeros(1))
    usual = float(np.prod([average[factor] for factor in STEPS.values()]))
    value = np.prod([factors[factor] for factor in STEPS.values()], axis=0)
    differs = np.abs(together) > TINY
    mean = np.where(differs, (value - usual) / np.where(differs, together, 1.0), usual)
    return {"clv_of_average": np.full_like(value, usual)} | {step: mean * log for step, log in logs.items()}
