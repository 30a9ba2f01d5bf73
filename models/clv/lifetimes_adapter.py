"""The one door to the library `lifetimes`: fitted objects for data scientists who know it, and theirs taken over."""

import warnings
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from models.base import column
from models.clv.btyd import ClvBgNbd
from models.clv.corrections.consensus import Consensus
from models.clv.errors import NotInLifetimes
from models.clv.hybrid import ClvHybrid
from models.clv.orders.base import OrderModel
from models.clv.orders.bgnbd import BgNbd
from models.clv.orders.mbgnbd import MbgNbd
from models.clv.orders.pareto import ParetoNbd
from models.clv.spend.base import SpendModel
from models.clv.spend.gamma_gamma import GammaGamma

FITTERS: dict[str, type[BgNbd | ParetoNbd | GammaGamma]] = {
    "BetaGeoFitter": BgNbd,
    "ModifiedBetaGeoFitter": MbgNbd,
    "ParetoNBDFitter": ParetoNbd,
    "GammaGammaFitter": GammaGamma,
}
TIMES = ("alpha", "beta")
"""Parameters in units of time."""
SIMULATORS = {
    "BetaGeoFitter": "beta_geometric_nbd_model",
    "ModifiedBetaGeoFitter": "modified_beta_geometric_nbd_model",
    "ParetoNBDFitter": "pareto_nbd_model",
}


def to_lifetimes(model: ClvBgNbd | ClvHybrid, rows: pd.DataFrame | None = None) -> tuple[Any, Any]:
    """Hand a fitted model over as `lifetimes` objects, time in days.

    Parameters
    ----------
    model : ClvBgNbd or ClvHybrid
        Fitted, of a family with these two distributions; the hybrid averages several and is refused by name.
    rows : pandas.DataFrame, optional
        The rows it was fitted on; `lifetimes` needs them for its plots and simulated data.

    Returns
    -------
    tuple
        A fitter of `lifetimes` for orders (`BetaGeoFitter`, `ModifiedBetaGeoFitter` or `ParetoNBDFitter`) and a
        `lifetimes.GammaGammaFitter` with the model's parameters, ready to predict. Their `summary` has standard errors
        from the curvature where the model keeps it, else NaN. With `rows` the plots of `lifetimes.plotting` draw, but
        for `plot_expected_repeat_purchases` and `plot_history_alive`: in these two the library's own objects fail,
        too, with matplotlib from 3.8 and pandas from 2 on.

    Raises
    ------
    NotInLifetimes
        If the model is not of one distribution that `lifetimes` has: the hybrid's average, or the simpler one that was
        all the data could bear.
    """
    orders, spend = _fitter(model.orders_), _fitter(model.spend_)
    if rows is not None:
        x, recency, age = (column(rows, name) for name in ("frequency", "recency_days", "T_days"))
        weights = np.ones(len(rows), dtype=np.int64)
        orders.data = pd.DataFrame({"frequency": x.astype(np.int64), "recency": recency, "T": age, "weights": weights})
        parameters = list(model.orders_.parameters.values())
        simulate = getattr(_lifetimes().generate_data, SIMULATORS[type(orders).__name__])
        orders.generate_new_data = lambda size=1: simulate(age, *parameters, size=size)
    return orders, spend


def from_lifetimes(fitter: Any, days_per_unit: float = 1.0) -> OrderModel | GammaGamma:
    """Take a fitted `lifetimes` object over.

    Parameters
    ----------
    fitter : object
        A fitted `BetaGeoFitter`, `ModifiedBetaGeoFitter`, `ParetoNBDFitter` or `GammaGammaFitter`.
    days_per_unit : float
        Days in its unit of time: 7 for an object fitted in weeks.

    Returns
    -------
    OrderModel or GammaGamma
        With its parameters, time in days; the covariance of the parameters is not taken over.

    Raises
    ------
    NotInLifetimes
        If the object is not one of these, or not fitted.
    """
    kind = FITTERS.get(type(fitter).__name__)
    if kind is None or not hasattr(fitter, "params_"):
        raise NotInLifetimes(f"a fitted {type(fitter).__name__}", FITTERS)
    in_days: dict[str, Any] = {
        str(name): float(value) * (days_per_unit if name in TIMES else 1.0) for name, value in fitter.params_.items()
    }
    return kind(**in_days)


def _fitter(model: OrderModel | SpendModel | Consensus) -> Any:
    """Make the `lifetimes` object of a distribution."""
    name = next((name for name, kind in FITTERS.items() if kind.kind == model.kind), None)
    if name is None:
        raise NotInLifetimes(f"a model of the kind {model.title!r}", FITTERS)
    fitter = getattr(_lifetimes(), name)()
    fitter.params_ = pd.Series(model.parameters)
    fitter._hessian_ = None
    fitter.variance_matrix_ = _variances(model)
    fitter.standard_errors_ = fitter._compute_standard_errors()
    fitter.confidence_intervals_ = fitter._compute_confidence_intervals()
    if hasattr(fitter, "conditional_expected_number_of_purchases_up_to_time"):
        fitter.predict = fitter.conditional_expected_number_of_purchases_up_to_time
    return fitter


def _variances(model: OrderModel | SpendModel | Consensus) -> pd.DataFrame:
    """Covariance of the parameters by the delta method from that of their logarithms; NaN where it is not known."""
    parameters = pd.Series(model.parameters)
    of_logs = getattr(model, "log_covariance", None)
    known = np.full((len(parameters), len(parameters)), np.nan) if of_logs is None else of_logs
    return pd.DataFrame(np.outer(parameters, parameters) * known, parameters.index, parameters.index)


def _lifetimes() -> ModuleType:
    with warnings.catch_warnings():  # importing lifetimes silences FutureWarning for the whole process
        warnings.simplefilter("ignore")
        import lifetimes  # noqa: PLC0415 - 1 s and a changed filter, only on demand
    return lifetimes  # type: ignore[no-any-return]
