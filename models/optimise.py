"""One way to minimise a smooth loss, with its gradient and bounds."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import scipy.optimize
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

from models.base import Array


def minimise(
    loss: Callable[[Array], tuple[float, Array]], start: Sequence[float] | Array, bounds: Sequence[tuple[float, float]]
) -> Array:
    """Find the parameters of least loss by L-BFGS-B.

    Parameters
    ----------
    loss : callable
        From parameters, shape (k,), to the loss and its gradient.
    start : sequence of float or ndarray of shape (k,)
        Where to begin.
    bounds : sequence of tuple of float
        Lowest and highest value of each parameter; the result lies within, whatever the loss does.

    Returns
    -------
    ndarray of shape (k,)
        The best parameters found.
    """
    options: Any = {"maxiter": 5000, "ftol": 1e-14, "gtol": 1e-9}
    with _libraries().limit(limits=1, user_api="blas"):  # of a few numbers each, its threads wait longer than they work
        found = scipy.optimize.minimize(
            loss, np.asarray(start), jac=True, method="L-BFGS-B", bounds=list(bounds), options=options
        )
    return np.asarray(found.x, dtype=np.float64)


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()  # finding them takes a while
