"""Champions of different facts side by side: subscriptions valued, churn of orders, and who is known to neither."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from features.instants import read_instant
from features.profile import Profile, profile_from_tables
from models.families import FAMILIES
from models.persistence import Kept
from serving.answers import ClvAnswer, ScoreAnswer
from serving.batch import score_profile
from serving.champion import Champion
from serving.online import Online, customer_rows, task_rows
from serving.schemas import ScoreRequest
from serving.scorer import Scorer
from serving.store import OnlineStore

AT = read_instant("2024-12-31")
NO_ORDER, NO_SUBSCRIPTION = (f"no {fact} before the prediction time" for fact in ("order", "subscription"))


@pytest.fixture(scope="module")
def subscriptions(simulated: Profile) -> Champion:
    from training.config import TrainConfig
    from training.fit import fit

    settings = TrainConfig(horizon_days=90, refit=False)
    return Champion("5", fit("clv", simulated, settings, "clv_contractual")[0].final)


@pytest.fixture(scope="module")
def rule(cdnow_sample: Profile) -> Champion:
    """Churn of orders, from orders alone."""
    from training.config import TrainConfig
    from training.fit import fit

    kept: Kept = fit("churn", cdnow_sample, TrainConfig(horizon_days=90, refit=False), "churn_rule")[0].final
    return Champion("6", kept)


@pytest.fixture(scope="module")
def mixed() -> Profile:
    """Three customers: with orders only, with both, with a subscription only; and one with neither."""
    day = AT - timedelta(days=100)
    orders = pd.DataFrame(
        {"customer_id": ["orders", "both"], "order_id": ["o1", "o2"], "event_time": [day, day], "value": [9.0, 9.0]}
    )
    terms = pd.DataFrame(
        {
            "customer_id": ["both", "subscribed"],
            "subscription_id": ["s1", "s2"],
            "started_at": [day, day],
            "ended_at": pd.DatetimeIndex([pd.NaT, pd.Timestamp(AT) - pd.Timedelta(days=10)]),
            "monthly_value": [10.0, 10.0],
            "plan": ["basic", "basic"],
            "term_ends_at": [day + timedelta(days=365)] * 2,
        }
    )
    people = pd.DataFrame({"customer_id": ["both", "neither", "orders", "subscribed"]})
    return profile_from_tables({"customers": people, "orders": orders, "subscriptions": terms})


def test_each_champion_scores_whom_it_knows(
    mixed: Profile, subscriptions: Champion, rule: Champion, tmp_path: Path
) -> None:
    scorer = Scorer({"churn": rule, "clv": subscriptions})
    manifest = score_profile(mixed, AT, tmp_path / "out", scorer, tmp_path / "online.sqlite")
    table = pq.read_table(tmp_path / "out" / "scores.parquet")
    rows = {row["customer_id"]: row for row in table.to_pylist()}
    assert sorted(rows) == ["both", "orders", "subscribed"]
    assert [rows[name]["clv"] is None for name in ("orders", "both", "subscribed")] == [True, False, False]
    assert [rows[name]["probability_churned"] is None for name in ("orders", "both", "subscribed")] == [
        False,
        False,
        True,
    ]
    assert rows["both"]["clv"] > rows["subscribed"]["clv"] == 0.0
    assert rows["orders"]["clv_model_version"] is None
    assert manifest.excluded_by_reason == {"; ".join((NO_ORDER, NO_SUBSCRIPTION)): 1}
    assert manifest.without_value == {NO_SUBSCRIPTION: 1}
    assert manifest.cohort == manifest.scored + manifest.excluded == 4
    assert manifest.equity[0]["customers"] == 2
    online = Online(scorer, OnlineStore(tmp_path / "online.sqlite"))
    answer = online.score(ScoreRequest(customer_ids=["both", "orders", "subscribed"]))
    answered = ScoreAnswer.model_validate(
        {"rows": customer_rows(scorer, answer.scores), "excluded": [], "bands": {}}
    ).rows
    assert [(row.clv is None, row.churn is None) for row in answered] == [(False, False), (True, False), (False, True)]


def test_what_subscribers_cost_is_held_against_what_they_paid_and_will_pay(
    mixed: Profile, subscriptions: Champion, tmp_path: Path
) -> None:
    # Both have subscribed at 10 a month, for 100 and 90 days: the fourth period of the one, the third of the other.
    tables = {name: table.to_pyarrow().to_pandas() for name, table in mixed.tables.items()}
    for name, column in (("orders", "value"), ("subscriptions", "monthly_value")):
        tables[name][column] = tables[name][column].astype(float)
    people = tables["customers"].assign(acquisition_cost=20.0, acquisition_channel="search")
    profile = profile_from_tables({**tables, "customers": people})
    manifest = score_profile(profile, AT, tmp_path / "out", Scorer({"clv": subscriptions}))
    values = pq.read_table(tmp_path / "out" / "scores.parquet").to_pandas()["clv"]
    whole, search = manifest.acquisition
    assert (whole["channel"], search["channel"]) == ("all customers", "search")
    assert (whole["customers"], whole["acquisition_cost"]) == (2, 20.0)
    rate = subscriptions.contract.margin_rate
    assert rate is not None
    expected = (rate * (40.0 + 30.0) + values.sum()) / 2
    assert whole["lifetime_value"] == pytest.approx(expected, abs=0.01)
    assert whole["value_to_cost"] == pytest.approx(expected / 20, abs=0.001)
    assert whole["payback_days"] is not None
    without = profile_from_tables({**tables, "customers": people.drop(columns="acquisition_channel")})
    assert score_profile(without, AT, tmp_path / "again", Scorer({"clv": subscriptions})).acquisition == [whole]


def test_a_request_that_carries_subscriptions_is_answered_as_the_batch(
    simulated: Profile, subscriptions: Champion, request_of: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    scorer = Scorer({"clv": subscriptions})
    score_profile(simulated, AT, tmp_path / "out", scorer, reasons="all")
    batch = pq.read_table(tmp_path / "out" / "scores.parquet")
    ids = batch.column("customer_id").to_pylist()[:5]
    request = ScoreRequest.model_validate(request_of(*ids))
    scored = Online(scorer, OnlineStore(tmp_path / "none")).score(request, ["clv"])
    assert scored.scores.equals(batch.slice(0, 5))
    rows = ClvAnswer.model_validate({"rows": task_rows("clv", scored.scores), "excluded": [], "bands": {}}).rows
    assert [row.clv for row in rows] == batch.column("clv").to_pylist()[:5]
    assert np.isfinite([row.days_to_next_order for row in rows]).all()
    assert FAMILIES[subscriptions.contract.family].outcome == "subscriptions"


def test_a_profile_without_orders_is_scored(subscriptions: Champion, mixed: Profile, tmp_path: Path) -> None:
    tables = {name: mixed.backend.to_pyarrow(mixed.tables[name]) for name in ("customers", "subscriptions")}
    manifest = score_profile(profile_from_tables(tables), AT, tmp_path / "out", Scorer({"clv": subscriptions}))
    assert (manifest.scored, manifest.excluded_by_reason) == (2, {NO_SUBSCRIPTION: 2})
    assert manifest.population["former"] == {"scored": 1, "excluded": 0}
    assert "orders" not in manifest.document()
