"""How long lifetime value models take beside lifetimes on the same customers, in the same run: `make bench`.

The claims are of processor time of all threads, since a machine may have other work; the clock's is told beside it.
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from models.clv.btyd import ClvBgNbd
from models.clv.histories import Histories
from models.clv.lifetimes_adapter import to_lifetimes
from models.clv.orders.base import OrderModel
from models.clv.orders.bgnbd import BgNbd
from models.clv.orders.mbgnbd import MbgNbd
from models.clv.orders.pareto import ParetoNbd

PEERS: dict[type[OrderModel], str] = {BgNbd: "BetaGeoFitter", MbgNbd: "ModifiedBetaGeoFitter"}
HISTORY = ["frequency", "recency_days", "T_days"]


def with_lifetimes(name: str, columns: list[pd.Series]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import lifetimes

        return getattr(lifetimes, name)().fit(*columns)


def tell(benchmark: Any, what: str, own: Any, peer: Any, least: float) -> None:
    """Print both times and hold the claim."""
    ratio = peer.cpu / own.cpu
    print(  # noqa: T201 - the benchmark's result
        f"\n{what}: {own.seconds:.2f} s ({own.cpu:.2f} s of processors), lifetimes {peer.seconds:.2f} s "
        f"({peer.cpu:.2f} s): {ratio:.0f} times faster"
    )
    benchmark.extra_info["times_faster_than_lifetimes"] = round(ratio, 1)
    assert ratio >= least


@pytest.mark.parametrize("model", PEERS)
@pytest.mark.benchmark(group="fit to 1,000,000 customers, time in days")
def test_fit(benchmark: Any, million: pd.DataFrame, measure: Callable[..., Any], model: type[OrderModel]) -> None:
    histories = Histories.of(million)
    fitted, determined = benchmark.pedantic(model.estimate, (histories,), rounds=3)
    own = measure(lambda: model.estimate(histories), rounds=3)
    peer = measure(lambda: with_lifetimes(PEERS[model], [million[name] for name in HISTORY]))
    assert determined
    assert list(peer.result.params_) == pytest.approx(list(fitted.parameters.values()), rel=1e-3)
    tell(benchmark, f"fit of {model.title}", own, peer, 30)


@pytest.mark.benchmark(group="fit to 1,000,000 customers, time in days")
def test_fit_with_spend_checks_and_averages(benchmark: Any, million: pd.DataFrame, measure: Callable[..., Any]) -> None:
    buyers = million[million["frequency"] > 0]
    benchmark.pedantic(ClvBgNbd().fit, (million,), rounds=1)
    own = measure(lambda: ClvBgNbd().fit(million), rounds=2)
    peer = measure(
        lambda: (
            with_lifetimes("BetaGeoFitter", [million[name] for name in HISTORY]),
            with_lifetimes("GammaGammaFitter", [buyers["frequency"], buyers["monetary_value"]]),
        )
    )
    tell(benchmark, "fit of BG/NBD with Gamma-Gamma, checks and averages", own, peer, 10)


@pytest.mark.benchmark(group="value 1,000,000 customers over 12 months, without intervals")
def test_point_value(benchmark: Any, million: pd.DataFrame, measure: Callable[..., Any]) -> None:
    model = ClvBgNbd(horizon_days=360.0, annual_discount_rate=1.01 ** (365 / 30) - 1).fit(million)
    benchmark.pedantic(model.point, (million,), rounds=3)
    own = measure(lambda: model.point(million), rounds=3)
    orders, spend = to_lifetimes(model)
    columns = [*(million[name] for name in HISTORY), million["monetary_value"].fillna(0.0)]
    peer = measure(lambda: spend.customer_lifetime_value(orders, *columns, time=12, freq="D", discount_rate=0.01))
    np.testing.assert_allclose(peer.result, own.result / 1.01**0.5, rtol=1e-3)  # paid at ends of months, not middles
    tell(benchmark, "value of 12 months", own, peer, 10)


@pytest.mark.benchmark(group="fit Pareto/NBD to 100,000 customers, time in days")
def test_fit_pareto(benchmark: Any, make_rows: Callable[[int], pd.DataFrame], measure: Callable[..., Any]) -> None:
    histories = Histories.of(make_rows(100_000))
    _, determined = benchmark.pedantic(ParetoNbd.estimate, (histories,), rounds=2)
    assert determined
    assert measure(lambda: ParetoNbd.estimate(histories)).cpu < 10
