"""A company's own columns of its customers in churn and propensity with dates: used, left out by name, or refused."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.profile import Profile, profile_from_tables
from features.spec import FeatureSet
from models.families import Task
from models.persistence import load, save
from training.config import TrainConfig
from training.errors import ConfigInvalid, LeakageSuspected
from training.fit import fit
from training.result import FitResult
from training.rows.own_columns import own_columns_of, said_of_time

KIDS = 'kids "under 16", n'
USED = ("income level", KIDS, "is_staff")
FAMILIES = ("churn_lightgbm", "churn_logistic")
Tables = dict[str, pd.DataFrame]


@pytest.fixture(scope="module")
def asked(utc: Callable[..., datetime]) -> TrainConfig:
    """Who of those who still order will have stopped."""
    return TrainConfig(cutoff=utc(2023, 12, 1), horizon_days=60, eligible="active", refit=False, stability_cutoffs=0)


@pytest.fixture(scope="module")
def results(own_profile: Profile, asked: TrainConfig) -> dict[str, FitResult]:
    """Both families, with the columns; the winner has been examined."""
    return {result.family.name: result for result in fit("churn", own_profile, asked)}


@pytest.mark.parametrize("name", FAMILIES)
def test_a_column_that_tells_who_leaves_ranks_better(
    name: str, results: dict[str, FitResult], own_profile: Profile, asked: TrainConfig
) -> None:
    without = fit("churn", own_profile, asked.model_copy(update={"leave_out": USED}), name)[0].metrics
    found = results[name].metrics
    assert found["holdout/roc_auc"] > without["holdout/roc_auc"] + 0.04
    assert found["holdout/brier"] < 0.95 * without["holdout/brier"]


def test_the_model_names_its_columns_and_their_levels(results: dict[str, FitResult], tmp_path: Path) -> None:
    for name, result in results.items():
        assert result.params["features.own"] == ", ".join(USED)
        kept = load(save(result.final, tmp_path / name))
        assert kept.contract.own_columns == USED
        assert set(kept.model.state().parameters["encoder"]["levels"]["income level"]) == {"low", "high"}
        rows = result.prepared.splits["holdout"].rows
        pd.testing.assert_frame_equal(kept.score(rows), result.final.score(rows))


def test_the_columns_are_among_the_global_factors(results: dict[str, FitResult]) -> None:
    factors = next(result.examined.factors for result in results.values() if len(result.examined.factors))
    assert "income level" in factors["factor"].head(3).tolist()


@pytest.mark.parametrize("name", FAMILIES)
def test_levels_never_seen_and_missing_ones_are_scored_alike(name: str, results: dict[str, FitResult]) -> None:
    model, rows = results[name].final, results[name].prepared.splits["holdout"].rows
    seen = {}
    for level in ("low", "high", "none of these", None):
        scores = model.score(rows.assign(**{"income level": pd.Series([level] * len(rows), dtype=object)}))
        seen[level] = scores["probability_churned"].to_numpy()
        assert np.isfinite(seen[level]).all()
    np.testing.assert_array_equal(seen["none of these"], seen[None])
    assert (seen["low"] > seen[None]).mean() > 0.9
    assert (seen[None] > seen["high"]).mean() > 0.9


def test_what_tells_nothing_is_left_out_and_named_where_one_can_do_something_about_it(
    own_profile: Profile, results: dict[str, FitResult]
) -> None:
    found = own_columns_of(own_profile, TrainConfig())
    assert tuple(feature.name for feature in found.features) == USED
    assert found.absent == {"country": "any difference between customers", "fax": "any value"}
    frequency, email = found.notes
    assert frequency.startswith("column 'Frequency' of customers is not learned from: its name is that of Patron's")
    assert email == (
        "column 'e-mail' of customers is not learned from: it is an identifier, with 1,200 levels for 1,200 customers "
        "(allowed: below 90% as many levels as customers)"
    )
    for result in results.values():
        assert set(found.notes) <= set(result.warnings)
        assert found.absent.items() <= result.absent.items()


def test_a_column_left_out_by_the_settings_is_left_out_without_a_word(own_profile: Profile) -> None:
    found = own_columns_of(own_profile, TrainConfig(leave_out=("e-mail", "Frequency", "is_staff")))
    assert (tuple(feature.name for feature in found.features), found.notes) == (USED[:2], [])


def test_names_are_taken_whatever_their_case(own_tables: Tables, asked: TrainConfig) -> None:
    customers = own_tables["customers"][["customer_id", "income level"]]
    named = customers.assign(**dict.fromkeys(("Region", "Prediction_Time", "T_DAYS", "Target_Count_365d"), "x"))
    named.loc[::2, named.columns[2:]] = "y"
    profile = profile_from_tables(own_tables | {"customers": named})
    propensity = asked.model_copy(update={"event": "orders"})
    found = fit("propensity", profile, propensity, "propensity_logistic")[0]
    assert found.final.contract.own_columns == ("income level",)
    told = [warning.split("'")[1] for warning in found.warnings if "its name is that of Patron's" in warning]
    assert told == ["Region", "T_DAYS", "Target_Count_365d"]


def test_too_many_levels_are_left_out(own_tables: Tables) -> None:
    customers = own_tables["customers"][["customer_id"]]
    postcode = [f"{i % 1_001:05}" for i in range(len(customers))]
    found = own_columns_of(
        profile_from_tables(own_tables | {"customers": customers.assign(postcode="p" + pd.Series(postcode))}),
        TrainConfig(),
    )
    assert found.left_out == {"postcode": "it has 1,001 different texts (allowed: at most 1,000); group them"}


def test_without_own_columns_there_is_nothing_to_say(cdnow_sample: Profile) -> None:
    assert own_columns_of(cdnow_sample, TrainConfig()).features == ()


def test_the_run_says_that_columns_without_a_time_are_taken_as_always_known(
    own_tables: Tables, own_profile: Profile, results: dict[str, FitResult]
) -> None:
    features = own_columns_of(own_profile, TrainConfig()).features
    (said,) = said_of_time(own_profile, features)
    assert said == (
        f"customers does not say since when 'income level', {KIDS!r}, 'is_staff' were known (ingested_at): they are "
        "taken as known at every prediction time, as they stand today"
    )
    assert all(said in result.warnings for result in results.values())
    dated = own_tables["customers"].assign(ingested_at=pd.Timestamp("2023-01-01", tz="UTC"))
    assert said_of_time(profile_from_tables(own_tables | {"customers": dated}), features) == []
    assert said_of_time(own_profile, FeatureSet("none", 1, ()).features) == []


def test_of_a_column_with_a_time_of_its_own_it_is_not_said(own_tables: Tables, own_profile: Profile) -> None:
    features = own_columns_of(own_profile, TrainConfig()).features
    known = {"income level_known_from": pd.Timestamp("2023-01-01", tz="UTC")}
    dated = profile_from_tables(own_tables | {"customers": own_tables["customers"].assign(**known)})
    assert [feature.name for feature in own_columns_of(dated, TrainConfig()).features] == list(USED)
    (said,) = said_of_time(dated, features)
    assert said.startswith(f"customers does not say since when {KIDS!r}, 'is_staff' were known")


def test_a_column_recorded_after_the_outcome_with_its_time_is_neither_seen_before_nor_refused(
    own_tables: Tables, asked: TrainConfig
) -> None:
    customers, orders = own_tables["customers"], own_tables["orders"]
    last = orders.groupby("customer_id")["event_time"].max()
    left = (customers["customer_id"].map(last) < pd.Timestamp("2023-12-01", tz="UTC")).to_numpy()
    why = pd.Series("price", index=customers.index).where(left & (np.random.default_rng(1).random(len(left)) < 0.3))
    config = asked.model_copy(update={"eligible": None})
    told = customers.assign(why=why, why_known_from=pd.Timestamp("2024-06-01", tz="UTC"))
    found = fit("churn", profile_from_tables(own_tables | {"customers": told}), config, "churn_logistic")[0]
    plain = fit("churn", profile_from_tables(own_tables), config, "churn_logistic")[0]
    assert found.metrics["holdout/roc_auc"] == pytest.approx(plain.metrics["holdout/roc_auc"], abs=1e-9)


def test_a_column_recorded_after_the_outcome_is_refused_by_name(own_tables: Tables, asked: TrainConfig) -> None:
    customers, orders = own_tables["customers"], own_tables["orders"]
    last = orders.groupby("customer_id")["event_time"].max()
    left = (customers["customer_id"].map(last) < pd.Timestamp("2023-12-01", tz="UTC")).to_numpy()
    asked_later = np.random.default_rng(1).random(len(customers)) < 0.3
    told = customers.assign(**{"why, they left": pd.Series("price", index=customers.index).where(left & asked_later)})
    profile = profile_from_tables(own_tables | {"customers": told})
    asked = asked.model_copy(update={"eligible": None})
    with pytest.raises(LeakageSuspected, match="'why, they left' looks recorded after the outcome") as refused:
        fit("churn", profile, asked, "churn_logistic")
    assert refused.value.columns == ("why, they left",)
    spared = asked.model_copy(update={"leave_out": ("why, they left",)})
    assert "why, they left" not in fit("churn", profile, spared, "churn_logistic")[0].final.contract.own_columns


def test_propensity_learns_from_them_too(own_profile: Profile, asked: TrainConfig) -> None:
    config = asked.model_copy(update={"event": "orders"})
    for name in ("propensity_lightgbm", "propensity_logistic"):
        found = fit("propensity", own_profile, config, name)[0]
        assert found.final.contract.own_columns == USED
        without = fit("propensity", own_profile, config.model_copy(update={"leave_out": USED}), name)[0]
        assert found.metrics["holdout/roc_auc"] > without.metrics["holdout/roc_auc"] + 0.04


def test_lifetime_value_by_trees_learns_from_them_too(own_profile: Profile, asked: TrainConfig) -> None:
    config = asked.model_copy(update={"eligible": None, "model": {"trees": 60}})
    found = fit("clv", own_profile, config, "clv_hybrid")[0]
    assert found.final.contract.own_columns == USED
    without = fit("clv", own_profile, config.model_copy(update={"leave_out": USED}), "clv_hybrid")[0]
    name = "holdout/poisson_deviance_orders"
    assert found.metrics[name] < 0.99 * without.metrics[name]


@pytest.mark.parametrize("task", ["churn", "clv"])
def test_leaving_out_what_is_not_there_is_refused(task: Task, own_profile: Profile, asked: TrainConfig) -> None:
    misspelt = asked.model_copy(update={"leave_out": ("incom level", "frequency")})
    with pytest.raises(
        ConfigInvalid, match=r"setting 'leave_out' is 'incom level'. Allowed: .* own columns .*income l"
    ):
        fit(task, own_profile, misspelt)
