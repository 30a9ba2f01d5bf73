"""Rows at earlier prediction times: what they hold, and that nothing after the cutoff reaches them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from features.catalogue import BTYD, CLV_HYBRID
from features.profile import Profile
from models.families import FAMILIES
from training.clv import ClvJob
from training.config import TrainConfig
from training.surveys import with_and_without
from training.task import Measured, Prepared

CUTOFF = datetime(1997, 10, 1, tzinfo=UTC)
Instant = Callable[..., datetime]


@pytest.fixture(scope="module")
def job() -> ClvJob:
    return ClvJob()


@pytest.fixture(scope="module")
def settings() -> TrainConfig:
    return TrainConfig(horizon_days=273, model={"trees": 20})


def prepared_of(job: ClvJob, settings: TrainConfig, profile: Profile) -> Prepared:
    made = job.prepare(settings, profile, CLV_HYBRID, CUTOFF, evaluate=False)
    return job.prepare_past(settings, profile, made)


@pytest.fixture(scope="module")
def prepared(job: ClvJob, settings: TrainConfig, cdnow_sample: Profile) -> Prepared:
    return prepared_of(job, settings, cdnow_sample)


def test_rows_hold_what_followed_in_windows_that_end_by_the_cutoff(prepared: Prepared, cdnow_sample: Profile) -> None:
    past = prepared.past
    assert past is not None
    assert prepared.past_days == 68
    assert past.keys["prediction_time"].max() == CUTOFF - timedelta(days=68)
    orders = cdnow_sample.backend.to_pyarrow(cdnow_sample.tables["orders"]).to_pandas()
    at = past.keys["prediction_time"].min()
    inside = orders[(orders["event_time"] >= at) & (orders["event_time"] < at + timedelta(days=68))]
    here = (past.keys["prediction_time"] == at).to_numpy()
    known = past.keys.loc[here, "customer_id"]
    expected = inside.groupby("customer_id")["event_time"].nunique().reindex(known).fillna(0)
    np.testing.assert_array_equal(past.outcome.loc[here, "order_days"], expected)


def test_nothing_after_the_cutoff_changes_the_model(
    job: ClvJob, settings: TrainConfig, prepared: Prepared, cdnow_sample: Profile, make_profile: Callable[..., Profile]
) -> None:
    orders = cdnow_sample.backend.to_pyarrow(cdnow_sample.tables["orders"]).to_pandas()
    before = make_profile(orders[orders["event_time"] < pd.Timestamp(CUTOFF)])
    names = prepared.features.names
    less = job.prepare_past(settings, before, job.prepare(settings, before, prepared.features, CUTOFF, evaluate=False))
    assert less.features.names == names
    models = [job.learn(FAMILIES["clv_hybrid"], settings, each) for each in (prepared, less)]
    assert models[0].state() == models[1].state()
    assert models[0].state().texts


def test_a_history_too_short_for_windows_gives_no_past(
    job: ClvJob, make_profile: Callable[..., Profile], make_orders: Callable[..., pd.DataFrame], utc: Instant
) -> None:
    orders = make_orders(*[(f"c{i}", f"2024-01-{1 + i % 9 + 7 * k:02d}", 10.0) for i in range(40) for k in range(3)])
    settings, profile, at = TrainConfig(horizon_days=30), make_profile(orders), utc(2024, 1, 26)
    made = job.prepare(settings, profile, CLV_HYBRID, at, evaluate=False)
    made = job.prepare_past(settings, profile, made)
    assert made.past is None
    model = job.learn(FAMILIES["clv_hybrid"], settings, made)
    assert any("histories alone" in warning for warning in model.warnings_)


@pytest.fixture(scope="module")
def with_surveys(job: ClvJob, simulated: Profile) -> tuple[TrainConfig, Prepared, Measured]:
    settings = TrainConfig(horizon_days=90, model={"trees": 20})
    at = simulated.known_until - timedelta(days=90)
    few = CLV_HYBRID.only((*BTYD, "first_day_value", "order_count_90d", "nps_last_score", "survey_response_rate_365d"))
    prepared = job.prepare_past(settings, simulated, job.prepare(settings, simulated, few, at, evaluate=True))
    model = job.learn(FAMILIES["clv_hybrid"], settings, prepared)
    return settings, prepared, job.measure(model, prepared.splits["holdout"], settings, prepared)


def test_what_surveys_are_worth_is_the_loss_they_take_away(
    job: ClvJob, with_surveys: tuple[TrainConfig, Prepared, Measured]
) -> None:
    settings, prepared, measured = with_surveys
    found = with_and_without(job, FAMILIES["clv_hybrid"], settings, prepared, measured)
    without = found["without_surveys/poisson_deviance_orders"]
    assert without != measured.metrics["poisson_deviance_orders"]
    assert found["surveys/skill"] == pytest.approx(1 - measured.metrics["poisson_deviance_orders"] / without)
    assert found["surveys/skill_low"] < found["surveys/skill"] < found["surveys/skill_high"]


def test_families_of_histories_alone_are_not_fitted_again(
    job: ClvJob, with_surveys: tuple[TrainConfig, Prepared, Measured]
) -> None:
    assert with_and_without(job, FAMILIES["clv_bgnbd"], *with_surveys) == {}


def test_without_surveys_in_the_profile_there_is_nothing_to_leave_out(
    job: ClvJob, settings: TrainConfig, prepared: Prepared
) -> None:
    measured = Measured({}, np.zeros(1), pd.DataFrame())
    assert with_and_without(job, FAMILIES["clv_hybrid"], settings, prepared, measured) == {}
