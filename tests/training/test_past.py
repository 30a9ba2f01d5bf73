"""Rows at earlier prediction times: what they hold, and that nothing after the cutoff reaches them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

import features.engine.numbered
import training.rows.past
from features.catalogue import BTYD, CLV_HYBRID
from features.engine.builder import build_features
from features.profile import Profile
from models.clv.hybrid import ClvHybrid
from models.families import FAMILIES
from training.clv import ClvJob
from training.config import TrainConfig
from training.errors import LeakageSuspected
from training.evaluation.surveys import with_and_without
from training.fit import fit
from training.rows.past import month_rows, year_ago_rows, year_rows
from training.rows.splits import Split, held_out
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
    assert with_and_without(job, FAMILIES["clv_naive"], *with_surveys) == {}


def test_without_surveys_in_the_profile_there_is_nothing_to_leave_out(
    job: ClvJob, settings: TrainConfig, prepared: Prepared
) -> None:
    measured = Measured({}, np.zeros(1), pd.DataFrame())
    assert with_and_without(job, FAMILIES["clv_hybrid"], settings, prepared, measured) == {}


# of very many customers a sample

MOST = 3_000


@pytest.mark.parametrize("rows_worth_a_copy", [features.engine.numbered.WORTH_A_COPY, 1])
def test_a_sample_of_very_many_customers_has_the_same_rows_as_all(
    rows_worth_a_copy: int,
    job: ClvJob,
    settings: TrainConfig,
    prepared: Prepared,
    cdnow_sample: Profile,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[int] = []

    def counted(*given: Any) -> Any:
        table = build_features(*given)
        read.append(table.num_rows)
        return table

    made = job.prepare(settings, cdnow_sample, CLV_HYBRID, CUTOFF, evaluate=False)
    monkeypatch.setattr(training.rows.past, "MOST_PAST_ROWS", MOST)
    monkeypatch.setattr(training.rows.past, "build_features", counted)
    monkeypatch.setattr(features.engine.numbered, "WORTH_A_COPY", rows_worth_a_copy)
    past, whole = job.prepare_past(settings, cdnow_sample, made).past, prepared.past
    assert past is not None
    assert whole is not None
    ids, times = made.splits["train"].keys["customer_id"], whole.keys["prediction_time"].nunique()
    taken = ids[held_out(ids, MOST / (len(ids) * times), settings.random_state)]
    assert max(read) <= len(taken) * times  # nobody else is in memory at any time
    assert len(taken) * times == pytest.approx(MOST, rel=0.1)
    expected = whole.where(whole.keys["customer_id"].isin(taken).to_numpy())
    for name in ("keys", "rows", "outcome"):
        pd.testing.assert_frame_equal(getattr(past, name), getattr(expected, name))


def test_a_run_says_how_many_customers_earlier_times_were_learned_from(
    settings: TrainConfig, cdnow_sample: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training.rows.past, "MOST_PAST_ROWS", MOST)
    quick = settings.model_copy(update={"model": {"trees": 2}, "refit": False, "cutoff": CUTOFF})
    (result,) = fit("clv", cdnow_sample, quick, "clv_hybrid")
    said = [warning for warning in result.warnings if warning.startswith("what followed earlier was learned from")]
    assert len(said) == 1
    assert said[0].endswith("of 2,357 customers, a sample by a hash of their ids")
    assert any(part["split"] == "past" and part["rows"] <= MOST * 1.1 for part in result.splits)


# columns that give away what followed earlier prediction times


@pytest.fixture(scope="module")
def closed(make_profile: Callable[..., Profile]) -> Profile:
    """Half of 400 customers order every twelve days up to the cutoff, the others only before all windows of the past.

    An attribute exported at the end marks the latter. Who of either half orders after the cutoff is left to chance.
    """
    generator = np.random.default_rng(5)
    cutoff, rows = pd.Timestamp("2024-01-01", tz="UTC"), []
    for i in range(400):
        stays = i % 2 == 0
        ages = np.arange(1 if stays else 95, int(generator.integers(200, 400)), 12) + int(generator.integers(0, 12))
        if generator.random() < 0.5:
            ages = np.append(ages, -int(generator.integers(1, 30)))
        rows += [(f"c{i:03d}", cutoff - pd.Timedelta(days=int(age)), 10.0) for age in ages]
    rows += [("c000", cutoff + pd.Timedelta(days=30), 10.0)]
    orders = pd.DataFrame(rows, columns=["customer_id", "event_time", "value"])
    orders["event_time"] = orders["event_time"].astype("datetime64[us, UTC]")
    orders.insert(1, "order_id", [f"o{i}" for i in range(len(orders))])
    tier = ["standard" if i % 2 == 0 else "closed" for i in range(400)]
    customers = pd.DataFrame({"customer_id": [f"c{i:03d}" for i in range(400)], "tier": tier})
    return make_profile(orders, customers=customers)


LEAKING = TrainConfig(horizon_days=30, cutoff=datetime(2024, 1, 1, tzinfo=UTC), refit=False, model={"trees": 2})


def test_column_that_gives_away_what_followed_earlier_times_is_refused_by_name(closed: Profile) -> None:
    with pytest.raises(LeakageSuspected) as refused:
        fit("clv", closed, LEAKING, "clv_hybrid")
    assert refused.value.columns == ("tier",)
    assert "'tier'" in str(refused.value)
    assert "on the past rows" in str(refused.value)


def test_past_rows_are_not_looked_at_for_a_family_that_does_not_learn_from_them(closed: Profile) -> None:
    plain = LEAKING.model_copy(update={"model": {}})
    (result,) = fit("clv", closed, plain, "clv_naive")
    assert [part.split for part in result.leakage.examined] == ["train", "holdout"]


@pytest.fixture(scope="module")
def of_two_years(make_profile: Callable[..., Profile], make_orders: Callable[..., pd.DataFrame]) -> Profile:
    """690 days of a shop where three times as much is bought in every other quarter of a year."""
    generator = np.random.default_rng(1)
    start = datetime(2022, 1, 1, tzinfo=UTC)
    rows = []
    for customer in range(400):
        rate = generator.gamma(2.0, 1 / 40)
        for day in range(int(generator.integers(0, 200)), 690):
            busy = 1.5 if (day % 365) // 91 % 2 else 0.5
            if generator.random() < rate * busy:
                rows.append((f"c{customer:03d}", (start + timedelta(days=day)).isoformat(), 10.0))
    return make_profile(make_orders(*rows))


def came_after(profile: Profile, split: Split, at: pd.Timestamp, length: int) -> int:
    """Orders in the days after a time of those with a row at it."""
    orders = profile.backend.to_pyarrow(profile.tables["orders"]).to_pandas()
    here = (split.keys["prediction_time"] == at).to_numpy()
    days = orders[(orders["event_time"] >= at) & (orders["event_time"] < at + pd.Timedelta(length, "D"))]
    known = int(days["customer_id"].isin(split.keys.loc[here, "customer_id"]).sum())
    assert split.outcome.loc[here, "order_days"].sum() == known
    return known


AFTER_600_DAYS = datetime(2023, 8, 24, tzinfo=UTC)
"""Of the shop of two years."""


def ages_of(split: Split) -> list[int]:
    return sorted(set((AFTER_600_DAYS - split.keys["prediction_time"]).dt.days))


def test_months_before_and_the_horizon_a_year_ago_tell_the_season(of_two_years: Profile) -> None:
    settings = TrainConfig(horizon_days=90)
    lately = month_rows(settings, of_two_years, 400, 600, AFTER_600_DAYS)
    year_ago = year_ago_rows(settings, of_two_years, 400, 600, AFTER_600_DAYS)
    assert lately is not None
    assert year_ago is not None
    assert ages_of(lately) == [30, 60, 90, 120, 150, 395, 425, 455, 485, 515]
    assert ages_of(year_ago) == [365]
    for split, age, length in ((lately, 30, 30), (lately, 515, 30), (year_ago, 365, 90)):
        assert came_after(of_two_years, split, pd.Timestamp(AFTER_600_DAYS) - pd.Timedelta(age, "D"), length) > 0


@pytest.mark.parametrize(("history", "horizon"), [(544, 90), (600, 301)])
def test_no_season_is_looked_for_without_four_months_twice_or_for_nearly_a_whole_year(
    history: int, horizon: int, of_two_years: Profile
) -> None:
    assert month_rows(TrainConfig(horizon_days=horizon), of_two_years, 400, history, AFTER_600_DAYS) is None


@pytest.mark.parametrize(("history", "horizon"), [(424, 90), (600, 301)])
def test_no_year_ago_is_looked_at_with_too_little_before_it_or_for_nearly_a_whole_year(
    history: int, horizon: int, of_two_years: Profile
) -> None:
    assert year_ago_rows(TrainConfig(horizon_days=horizon), of_two_years, 400, history, AFTER_600_DAYS) is None


def test_a_year_ago_is_looked_at_with_two_months_before_it(of_two_years: Profile) -> None:
    found = year_ago_rows(TrainConfig(horizon_days=300), of_two_years, 400, 425, AFTER_600_DAYS)
    assert found is not None
    assert ages_of(found) == [365]
    assert came_after(of_two_years, found, pd.Timestamp(AFTER_600_DAYS) - pd.Timedelta(365, "D"), 300) > 0


def test_four_months_twice_are_looked_at(of_two_years: Profile) -> None:
    found = month_rows(TrainConfig(horizon_days=300), of_two_years, 400, 545, AFTER_600_DAYS)
    assert found is not None
    assert ages_of(found) == [30, 60, 90, 120, 395, 425, 455, 485]


def test_windows_spread_over_the_last_year_tell_a_bias(of_two_years: Profile) -> None:
    found = year_rows(TrainConfig(horizon_days=90), of_two_years, 400, 600, 75, AFTER_600_DAYS)
    assert found is not None
    assert ages_of(found) == [75, 121, 166, 212, 257, 303, 349, 394]
    for age in (75, 394):
        assert came_after(of_two_years, found, pd.Timestamp(AFTER_600_DAYS) - pd.Timedelta(age, "D"), 75) > 0


def test_a_bias_is_looked_for_at_six_times_or_more(of_two_years: Profile) -> None:
    settings = TrainConfig(horizon_days=90)
    found = year_rows(settings, of_two_years, 400, 363, 75, AFTER_600_DAYS)
    assert found is not None
    assert ages_of(found) == [75, 121, 166, 212, 257, 303]
    assert year_rows(settings, of_two_years, 400, 362, 75, AFTER_600_DAYS) is None


def test_customers_who_slow_down_with_age_are_a_bias_that_is_taken_off(
    job: ClvJob, make_profile: Callable[..., Profile], make_orders: Callable[..., pd.DataFrame]
) -> None:
    generator = np.random.default_rng(2)
    start = datetime(2021, 1, 1, tzinfo=UTC)
    rows: list[tuple[str, str, float]] = []
    for customer in range(900):
        joined, rate = int(generator.integers(0, 800)), generator.gamma(0.8, 0.1)
        rows.extend(
            (f"c{customer:03d}", (start + timedelta(days=day)).isoformat(), 10.0)
            for day in range(joined, 1000)
            if day == joined or generator.random() < rate * (1 + (day - joined) / 15) ** -0.8
        )
    profile, settings = make_profile(make_orders(*rows)), TrainConfig(horizon_days=150, model={"trees": 20})
    cutoff = start + timedelta(days=850)
    made = job.prepare_past(settings, profile, job.prepare(settings, profile, CLV_HYBRID, cutoff, evaluate=True))
    biases = {}
    for name, given in (("taken off", made), ("left", replace(made, year=None, months=None, year_ago=None))):
        model = job.learn(FAMILIES["clv_hybrid"], settings, given)
        assert isinstance(model, ClvHybrid)
        assert any("a persistent bias is taken off" in told for told in model.warnings_) == (name == "taken off")
        biases[name] = job.measure(model, made.splits["holdout"], settings, made).metrics["bias_total_orders"]
    assert biases["left"] > 0.3
    assert abs(biases["taken off"]) < biases["left"] / 2


def test_a_busy_season_ahead_is_in_the_forecast_and_outlives_being_kept(job: ClvJob, of_two_years: Profile) -> None:
    # the horizon lies in the busy quarter from day 91 + 365 + 182 to 729; the 90 days before it are quiet ones
    settings, cutoff = TrainConfig(horizon_days=52, model={"trees": 20}), datetime(2023, 10, 1, tzinfo=UTC)
    made = job.prepare(settings, of_two_years, CLV_HYBRID, cutoff, evaluate=True)
    prepared = job.prepare_past(settings, of_two_years, made)
    family, plain = FAMILIES["clv_hybrid"], replace(prepared, months=None, year_ago=None)
    errors = {}
    for name, given in (("season", prepared), ("none", plain)):
        model = job.learn(family, settings, given)
        assert isinstance(model, ClvHybrid)
        assert (model.fitted_parameters()["movement"] > 1.1) == (name == "season")
        assert any("the season is" in told for told in model.warnings_) == (name == "season")
        errors[name] = job.measure(model, prepared.splits["holdout"], settings, prepared).metrics
        again = ClvHybrid.from_state(model.state())
        pd.testing.assert_frame_equal(again.score(made.splits["train"].rows), model.score(made.splits["train"].rows))
    assert abs(errors["season"]["bias_total_orders"]) < abs(errors["none"]["bias_total_orders"])
    for metric in ("poisson_deviance_orders", "log_loss_no_order"):
        assert errors["season"][metric] < errors["none"][metric]


def test_nobody_of_a_sample_known_a_year_ago_tells_nothing_and_stops_nothing(
    make_profile: Callable[..., Profile], make_orders: Callable[..., pd.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    later = [(f"c{i:03d}", f"2023-{1 + i % 7:02d}-10T00:00:00Z", 10.0) for i in range(499)]
    profile = make_profile(make_orders(("early", "2022-01-01T00:00:00Z", 10.0), *later))
    settings = TrainConfig(horizon_days=90)
    assert year_ago_rows(settings, profile, 500, 600, AFTER_600_DAYS) is not None
    monkeypatch.setattr(training.rows.past, "MOST_PAST_ROWS", 50)  # a tenth of 500 customers
    assert year_ago_rows(settings, profile, 500, 600, AFTER_600_DAYS) is None
