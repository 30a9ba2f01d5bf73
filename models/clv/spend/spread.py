"""How far order values spread, of every spend model in the two shapes that intervals are made of.

Gamma-Gamma has them. The other models are given the shapes with the same relative variances, of an order around its
customer's mean and of that mean as far as the history leaves it open.
"""

import numpy as np

from models.base import Array
from models.clv.spend.base import SpendModel
from models.clv.spend.gamma_gamma import GammaGamma
from models.clv.spend.log_normal import LogNormal
from models.clv.spend.shrunken_mean import ShrunkenMean

LEAST_VARIANCE = 1e-12


def spend_shapes(spend: SpendModel, frequency: Array) -> tuple[float, Array]:
    """Shape of an order's value, and of each customer's own scale, as `models.clv.intervals.bounds` takes them.

    Parameters
    ----------
    spend : SpendModel
        Fitted.
    frequency : ndarray of shape (n,)
        Repeat order days.

    Raises
    ------
    TypeError
        If the model is of none of the kinds in `models.clv.kinds`.
    """
    match spend:
        case GammaGamma():
            return spend.p, spend.q + spend.p * frequency
        case LogNormal():
            order = np.expm1(spend.sigma**2)
            own = np.expm1(1 / (1 / spend.tau**2 + frequency / spend.sigma**2))
        case ShrunkenMean():
            order = (spend.deviation / spend.mean) ** 2 if spend.mean > 0 else 0.0
            own = order / (spend.orders + frequency)
        case _:
            raise TypeError(f"no spread of spend for {type(spend).__name__}")
    return 1 / max(float(order), LEAST_VARIANCE), 2 + 1 / np.maximum(own, LEAST_VARIANCE)
