"""Feature rows, targets and fitted models that the tests of the models room share."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from features.catalogue import CHURN, CLV, CLV_CONTRACTUAL, CLV_HYBRID, PROPENSITY, SEGMENTS
from features.engine.builder import build_features, feature_frame
from features.profile import Profile
from features.spec import FeatureSet
from models.base import Model
from models.clv.hybrid import ClvHybrid
from models.clv.past import Past
from models.contract import Contract
from models.families import FAMILIES
from training.rows.keyed import keyed_frame, with_future
from training.rows.labels import future_orders

CDNOW_CUTOFF = datetime(1997, 10, 1, tzinfo=UTC)
SIMULATED_AT = datetime(2024, 6, 1, tzinfo=UTC)
CHURN_DAYS, CLV_DAYS, PAST_DAYS = 90, 180, 120

Array = npt.NDArray[np.float64]


def clv_rows(profile: Profile) -> pd.DataFrame:
    return feature_frame(build_features(profile, CLV, [CDNOW_CUTOFF]), CLV)


@pytest.fixture(scope="session")
def cdnow_rows(cdnow: Profile) -> pd.DataFrame:
    """The BTYD four of the CDNOW master log after 39 weeks."""
    return clv_rows(cdnow)


@pytest.fixture(scope="session")
def cdnow_sample_rows(cdnow_sample: Profile) -> pd.DataFrame:
    """The BTYD four of the literature's CDNOW sample after 39 weeks."""
    return clv_rows(cdnow_sample)


@pytest.fixture(scope="session")
def simulated_rows(simulated: Profile) -> dict[str, pd.DataFrame]:
    """Features of the simulated customers by feature set, one row each, in the same order; subscribers among them."""
    rows = {
        features.name: feature_frame(build_features(simulated, features, [SIMULATED_AT]), features)
        for features in (CHURN, CLV, CLV_CONTRACTUAL, CLV_HYBRID, PROPENSITY, SEGMENTS)
    }
    subscribers = rows["clv_contractual"].dropna(subset=["subscription_spell_days"])
    return rows | {"clv_contractual": subscribers.reset_index(drop=True)}


@pytest.fixture(scope="session")
def simulated_past(simulated: Profile) -> Callable[[int | None], Past]:
    """What the first of the simulated customers did after two earlier prediction times."""
    times = [SIMULATED_AT - timedelta(days=days) for days in (PAST_DAYS, PAST_DAYS + 40)]
    ids = build_features(simulated, CLV, [SIMULATED_AT]).column("customer_id").to_pylist()
    keys, rows = keyed_frame(build_features(simulated, CLV_HYBRID, times), CLV_HYBRID)
    future = with_future(keys, future_orders(simulated, times, PAST_DAYS, 0, SIMULATED_AT))

    def first(upto: int | None) -> Past:
        chosen = (rows["frequency"].notna() & keys["customer_id"].isin(ids[:upto])).to_numpy()
        days, value = (future[name].to_numpy()[chosen] for name in ("order_days", "order_value"))
        return Past(rows[chosen].reset_index(drop=True), float(PAST_DAYS), days, value)

    return first


@pytest.fixture(scope="session")
def order_days_after(simulated: Profile, simulated_folder: Path) -> Callable[[int], Array]:
    """From a number of days to each simulated customer's order days in that many days after the prediction time."""
    ids = build_features(simulated, CLV, [SIMULATED_AT]).column("customer_id").to_pylist()
    orders = pd.read_parquet(simulated_folder / "orders.parquet")
    kept = orders[~orders["is_return"].fillna(value=False).astype(bool)]

    def order_days(days: int) -> Array:
        inside = (kept["event_time"] >= SIMULATED_AT) & (kept["event_time"] < SIMULATED_AT + timedelta(days=days))
        later = kept[inside]
        counts = later["event_time"].dt.floor("D").groupby(later["customer_id"]).nunique()
        return np.asarray(counts.reindex(ids).fillna(0), dtype=np.float64)

    return order_days


@pytest.fixture(scope="session")
def churned(order_days_after: Callable[[int], Array]) -> Array:
    """1 for each simulated customer without an order in the 90 days after the prediction time."""
    return np.asarray(order_days_after(CHURN_DAYS) == 0, dtype=np.float64)


@pytest.fixture(scope="session")
def fit_family(
    simulated_rows: dict[str, pd.DataFrame], churned: Array, simulated_past: Callable[[int | None], Past]
) -> Callable[..., Model]:
    """Fit a family to some of the simulated customers."""

    def fit(name: str, upto: int | None = None, model: Model | None = None) -> Model:
        family = FAMILIES[name]
        rows = simulated_rows[family.feature_set.name].iloc[:upto].reset_index(drop=True)
        settings: dict[str, Any] = {"horizon_days": float(CLV_DAYS)} if family.task == "clv" else {}
        settings |= {"trees": 30} if name == "clv_hybrid" else {}  # as many as it takes to differ from none
        fresh = model or family.make(settings)
        if isinstance(fresh, ClvHybrid):
            return fresh.fit(rows, past=simulated_past(upto))
        if family.task not in ("churn", "propensity"):
            return fresh.fit(rows)
        return fresh.fit(rows, churned[: len(rows)])

    return fit


@pytest.fixture(scope="session")
def fitted(fit_family: Callable[..., Model]) -> Callable[[str], Model]:
    """A fitted model of a family, fitted once; not to be changed."""
    models: dict[str, Model] = {}

    def get(name: str) -> Model:
        if name not in models:
            models[name] = fit_family(name)
        return models[name]

    return get


@pytest.fixture(scope="session")
def make_contract() -> Callable[..., Contract]:
    """A contract of some features, with any facts changed."""

    def make(features: FeatureSet, **changed: Any) -> Contract:
        facts: dict[str, Any] = {
            "task": "churn",
            "family": "churn_lightgbm",
            "cutoff": SIMULATED_AT,
            "horizon_days": CHURN_DAYS,
            "gap_days": 0,
            "label": "no order in 90 days",
            "customers": 1443,
            "data_digest": "0" * 64,
            "is_simulated": True,
            "random_state": 0,
            "package_version": "0.1.0",
        }
        return Contract.for_features(features, **(facts | changed))

    return make
