"""Forecast one log with a peer library, in that library's own environment: started by `backtest_peers.py`.

``python -m tests.benchmarks.peers PEER LOG HORIZON_DAYS ANSWER``: `LOG` is a CSV file of histories, `ANSWER` gets one
row a customer. The library is used as its documentation shows, with its defaults.
"""

import json
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from training.evaluation.cost import measured

HISTORY = ["customer_id", "frequency", "recency", "T"]


def lifetimes(fitter: str) -> Callable[[pd.DataFrame, float], pd.DataFrame]:
    """An orders model of lifetimes with Gamma-Gamma."""

    def forecast(log: pd.DataFrame, horizon: float) -> pd.DataFrame:
        library = import_module("lifetimes")
        orders = getattr(library, fitter)()
        orders.fit(log["frequency"], log["recency"], log["T"])
        about = (log["frequency"], log["recency"], log["T"])
        expected = orders.conditional_expected_number_of_purchases_up_to_time(horizon, *about)
        none = np.nan
        if hasattr(orders, "conditional_probability_of_n_purchases_up_to_time"):
            none = orders.conditional_probability_of_n_purchases_up_to_time(0, horizon, *about)
        spend = library.GammaGammaFitter()
        known = log[(log["frequency"] > 0) & (log["monetary_value"] > 0)]
        spend.fit(known["frequency"], known["monetary_value"])
        value = spend.conditional_expected_average_profit(log["frequency"], log["monetary_value"])
        return pd.DataFrame({"orders": np.asarray(expected), "order_value": np.asarray(value), "none": none})

    return forecast


def pymc_marketing(model: str) -> Callable[[pd.DataFrame, float], pd.DataFrame]:
    """An orders model of pymc-marketing with Gamma-Gamma, both at the maximum of the posterior."""

    def forecast(log: pd.DataFrame, horizon: float) -> pd.DataFrame:
        library = import_module("pymc_marketing.clv")

        def mean(answer: Any) -> Any:
            return np.asarray(answer).reshape(-1, len(log)).mean(axis=0)

        orders = getattr(library, model)(data=log[HISTORY])
        orders.fit(method="map", progressbar=False)
        expected = mean(orders.expected_purchases(log, future_t=horizon))
        none: Any = np.nan
        with suppress(NotImplementedError):  # MBG/NBD has the method and not the answer
            if hasattr(orders, "expected_probability_no_purchase"):
                none = mean(orders.expected_probability_no_purchase(t=horizon, data=log))
            elif hasattr(orders, "expected_purchase_probability"):
                none = mean(orders.expected_purchase_probability(log, n_purchases=0, future_t=horizon))
        known = log[(log["frequency"] > 0) & (log["monetary_value"] > 0)]
        spend = library.GammaGammaModel(data=known[["customer_id", "frequency", "monetary_value"]])
        spend.fit(method="map", progressbar=False)
        return pd.DataFrame({"orders": expected, "order_value": mean(spend.expected_customer_spend(log)), "none": none})

    return forecast


PEERS: dict[str, tuple[str, Callable[[pd.DataFrame, float], pd.DataFrame]]] = {
    "lifetimes BG/NBD": ("Lifetimes", lifetimes("BetaGeoFitter")),
    "lifetimes MBG/NBD": ("Lifetimes", lifetimes("ModifiedBetaGeoFitter")),
    "lifetimes Pareto/NBD": ("Lifetimes", lifetimes("ParetoNBDFitter")),
    "pymc-marketing BG/NBD": ("pymc-marketing", pymc_marketing("BetaGeoModel")),
    "pymc-marketing MBG/NBD": ("pymc-marketing", pymc_marketing("ModifiedBetaGeoModel")),
    "pymc-marketing Pareto/NBD": ("pymc-marketing", pymc_marketing("ParetoNBDModel")),
}
"""Each with the distribution it comes from."""


def main(peer: str, log: str, horizon: str, answer: str) -> None:
    """Forecast, and say what it cost; a failure is an answer too."""
    warnings.simplefilter("ignore")
    distribution, forecast = PEERS[peer]
    histories = pd.read_csv(log)
    said: dict[str, Any] = {"version": version(distribution)}
    import_module("lifetimes" if distribution == "Lifetimes" else "pymc_marketing.clv")  # is no part of the cost
    try:
        with measured() as cost:
            found = forecast(histories, float(horizon))
        found.to_csv(answer, index=False)
        said |= {"seconds": cost.seconds, "megabytes": cost.megabytes}
    except Exception as problem:
        said |= {"failed": f"{type(problem).__name__}: {str(problem).strip().splitlines()[0][:160]}"}
    Path(answer).with_suffix(".json").write_text(json.dumps(said))


if __name__ == "__main__":
    main(*sys.argv[1:])
