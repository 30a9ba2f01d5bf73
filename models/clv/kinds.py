"""Every orders and spend model by its kind, for keeping and reading back."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from models.base import plain
from models.clv.orders.base import OrderModel
from models.clv.orders.bgnbd import BgNbd
from models.clv.orders.constant_rate import ConstantRate
from models.clv.orders.mbgnbd import MbgNbd
from models.clv.orders.pareto import ParetoNbd
from models.clv.spend.base import SpendModel
from models.clv.spend.gamma_gamma import GammaGamma
from models.clv.spend.log_normal import LogNormal
from models.clv.spend.shrunken_mean import ShrunkenMean

ORDERS = {model.kind: model for model in (BgNbd, MbgNbd, ParetoNbd, ConstantRate)}
SPEND = {model.kind: model for model in (GammaGamma, LogNormal, ShrunkenMean)}


def keep_orders(model: OrderModel) -> dict[str, Any]:
    """Kind, parameters and their covariance as plain JSON values."""
    covariance = model.log_covariance
    kept = None if covariance is None else plain(covariance)
    return {"kind": model.kind, "parameters": model.parameters, "log_covariance": kept}


def read_orders(kept: Mapping[str, Any]) -> OrderModel:
    """Make an orders model again."""
    covariance = kept["log_covariance"]
    matrix = None if covariance is None else np.array(covariance, dtype=np.float64)
    model: OrderModel = ORDERS[kept["kind"]](**kept["parameters"], log_covariance=matrix)
    return model


def keep_spend(model: SpendModel) -> dict[str, Any]:
    """Kind and parameters as plain JSON values."""
    return {"kind": model.kind, "parameters": model.parameters}


def read_spend(kept: Mapping[str, Any]) -> SpendModel:
    """Make a spend model again."""
    model: SpendModel = SPEND[kept["kind"]](**kept["parameters"])
    return model
