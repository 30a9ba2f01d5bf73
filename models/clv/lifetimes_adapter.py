"""The one door to the library `lifetimes`: fitted objects for data scientists who know it."""

import warnings
from typing import Any

import pandas as pd

from models.clv.btyd import ClvBgNbd


def to_lifetimes(model: ClvBgNbd) -> tuple[Any, Any]:
    """Hand a fitted model over as `lifetimes` objects, time in days.

    Parameters
    ----------
    model : ClvBgNbd
        Fitted.

    Returns
    -------
    tuple
        A `lifetimes.BetaGeoFitter` and a `lifetimes.GammaGammaFitter` with the model's parameters, ready to predict.
    """
    with warnings.catch_warnings():  # importing lifetimes silences FutureWarning for the whole process
        warnings.simplefilter("ignore")
        from lifetimes import BetaGeoFitter, GammaGammaFitter  # noqa: PLC0415 - 1 s and a changed filter, only on demand
    parameters = model.fitted_parameters()
    orders, spend = BetaGeoFitter(), GammaGammaFitter()
    orders.params_ = pd.Series({name: parameters[name] for name in ("r", "alpha", "a", "b")})
    spend.params_ = pd.Series({name: parameters[name] for name in ("p", "q", "v")})
    for fitter in (orders, spend):
        fitter._hessian_ = None
    return orders, spend
