"""Prospects of a whole profile: learned before the cutoff, measured after it, scored by the batch job."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from features.instants import read_instant
from features.profile import Profile
from models.families import FAMILIES
from training.clv import ClvJob
from training.config import TrainConfig
from training.evaluation.prospects import forecast_prospects, said_of_total
from training.fit import fit
from training.result import FitResult
from training.rows.prospects import ProspectRows, prospect_rows

START = pd.Timestamp("2023-01-01", tz="UTC")
CUTOFF = read_instant("2024-06-01")
SETTINGS = TrainConfig(horizon_days=60, cutoff=CUTOFF)
Make = Callable[..., Profile]


def shop(customers: int = 1_200, *, all_buy: bool = False) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Customers known before they order, by mail at 1 / 60 a day, by search at 1 / 600; buyers state a region."""
    generator = np.random.default_rng(4)
    join = generator.uniform(0, 500, customers)
    by_mail = generator.random(customers) < 0.4
    first = join + generator.exponential(np.where(by_mail, 60.0, 600.0))
    orders = []
    for i in range(customers):
        day = 0.5 + join[i] if all_buy else first[i]
        while day < 600:
            orders.append((f"c{i:04d}", START + pd.Timedelta(days=day), 40.0 if by_mail[i] else 20.0))
            day += generator.exponential(80)
    told = pd.DataFrame(orders, columns=["customer_id", "event_time", "value"])
    told.insert(1, "order_id", [f"o{i}" for i in range(len(told))])
    known = pd.DataFrame(
        {
            "customer_id": [f"c{i:04d}" for i in range(customers)],
            "created_at": START + pd.to_timedelta(join, "D"),
            "acquisition_channel": np.where(by_mail, "mail", "search"),
            "region": ["north" if day < 517 else None for day in first],
        }
    )
    for frame, name in ((told, "event_time"), (known, "created_at")):
        frame[name] = frame[name].astype("datetime64[us, UTC]")
    return told, known


@pytest.fixture(scope="module")
def profile(make_profile: Make) -> Profile:
    orders, customers = shop()
    return make_profile(orders, customers=customers)


@pytest.fixture(scope="module")
def found(profile: Profile) -> ProspectRows:
    rows = prospect_rows(SETTINGS, profile, CUTOFF, evaluate=True)
    assert rows is not None
    return rows


@pytest.fixture(scope="module")
def result(profile: Profile) -> FitResult:
    return fit("clv", profile, SETTINGS, "clv_bgnbd")[0]


def test_prospects_are_those_known_without_an_order_at_the_cutoff(found: ProspectRows) -> None:
    orders, customers = shop()
    known = set(customers.loc[customers["created_at"] < CUTOFF, "customer_id"])
    bought = set(orders.loc[orders["event_time"] < CUTOFF, "customer_id"])
    assert set(found.waiting.keys["customer_id"]) == known - bought


def test_an_attribute_that_only_buyers_state_is_left_out_and_named(found: ProspectRows) -> None:
    assert list(found.waiting.rows) == ["tenure_days", "acquisition_channel"]
    assert any("region says nothing of prospects" in said for said in found.warnings)


def test_out_of_time_the_forecast_beats_everyones_mean(result: FitResult) -> None:
    metrics = result.metrics
    assert metrics["holdout/prospect_log_loss_no_order"] < 0.95 * metrics["baseline/prospect_log_loss_no_order"]
    assert metrics["holdout/prospect_poisson_deviance_orders"] < metrics["baseline/prospect_poisson_deviance_orders"]
    assert abs(metrics["holdout/prospect_bias_total_orders"]) < 0.35


@pytest.mark.parametrize(
    ("expected", "actual", "if_comes", "is_said"),
    [
        (803.0, 20.0, 1.2, True),  # 39 times too high
        (20.0, 60.0, 1.2, True),
        (21.0, 0.0, 1.2, True),
        (2.0, 0.0, 1.2, False),  # few orders: chance
        (1.0, 4.0, 1.2, False),
        (96.3, 131.0, 1.3, False),
        (110.0, 90.0, 1.2, False),  # within a quarter
        (1_200.0, 1_000.0, 1.0, False),
        (140.0, 70.0, 1.0, True),
        (140.0, 70.0, 5.0, False),  # those who come order often: fewer of them make the total
        (0.0, 1.0, 1.0, True),
    ],
)
def test_a_total_further_off_than_chance_and_a_quarter_is_low_evidence(
    expected: float, actual: float, if_comes: float, is_said: bool
) -> None:
    said = said_of_total(expected, actual, if_comes)
    assert bool(said) == is_said
    assert not said or f"forecast to order {expected:,.1f} times and did {actual:,.0f} times" in said[0]


def test_prospects_who_stop_coming_are_said_to_be_forecast_too_high(result: FitResult, make_profile: Make) -> None:
    orders, customers = shop()
    late = orders["customer_id"].isin(orders.loc[orders["event_time"] < CUTOFF, "customer_id"])
    stopped = make_profile(orders[late | (orders["event_time"] < CUTOFF)], customers=customers)
    found = fit("clv", stopped, SETTINGS.model_copy(update={"refit": False}), "clv_bgnbd")[0]
    assert found.metrics["holdout/prospect_bias_total_orders"] > 10
    assert any(said.startswith("low evidence: prospects were forecast to order") for said in found.warnings)
    assert not any("prospects were forecast to order" in said for said in result.warnings)


def test_nothing_after_the_cutoff_changes_what_is_learned(found: ProspectRows, make_profile: Make) -> None:
    orders, customers = shop()
    before = make_profile(orders[orders["event_time"] < CUTOFF], customers=customers)
    less = prospect_rows(SETTINGS, before, CUTOFF, evaluate=False)
    assert less is not None
    assert (less.first, less.spent) == (found.first, found.spent)


def test_prospects_stand_in_the_split_log(result: FitResult) -> None:
    logged = {each["split"]: each for each in result.splits}
    assert logged["prospects"]["rows"] == result.metrics["holdout/prospects"]


@pytest.mark.parametrize("name", ["clv_naive", "clv_hybrid"])
def test_every_kind_of_family_forecasts_prospects(profile: Profile, name: str) -> None:
    job, family = ClvJob(), FAMILIES[name]
    prepared = job.prepare(SETTINGS, profile, family.feature_set, CUTOFF, evaluate=False)
    prospects = forecast_prospects(job.learn(family, SETTINGS, prepared), prepared)[0]
    assert prospects is not None
    assert prospects.repeats[-1] > 0


def test_a_profile_of_buyers_only_has_no_prospects(make_profile: Make) -> None:
    orders, customers = shop(60, all_buy=True)
    profile = make_profile(orders, customers=customers[customers["customer_id"].isin(orders["customer_id"])])
    at = profile.known_until
    assert prospect_rows(SETTINGS, profile, at, evaluate=False) is None


def test_few_first_orders_are_low_evidence(make_profile: Make) -> None:
    orders, customers = shop(40)
    found = prospect_rows(SETTINGS, make_profile(orders, customers=customers), CUTOFF, evaluate=False)
    assert found is not None
    assert any(said.startswith("low evidence: prospects are forecast from") for said in found.warnings)


def test_a_batch_run_writes_prospects_beside_the_scores_and_adds_up(
    profile: Profile, result: FitResult, tmp_path: Path
) -> None:
    from serving.batch import score_profile
    from serving.champion import Champion
    from serving.manifest import PROSPECTS, SCORES
    from serving.scorer import Scorer

    at: datetime = CUTOFF
    manifest = score_profile(profile, at, tmp_path / "out", Scorer({"clv": Champion("1", result.final)}))
    written = pq.read_table(tmp_path / "out" / PROSPECTS).to_pandas()
    scored = pq.read_table(tmp_path / "out" / SCORES).to_pandas()
    assert manifest.cohort == manifest.scored + manifest.excluded
    assert manifest.prospects["customers"] == manifest.population["prospect"]["excluded"] == len(written)
    assert not set(written["customer_id"]) & set(scored["customer_id"])
    assert manifest.prospects["clv"] == pytest.approx(written["clv"].sum(), abs=0.01)
    assert PROSPECTS in manifest.files
    by_mail = written["clv_reasons"].map(lambda reasons: any("mail" in each["text"] for each in reasons))
    assert written.loc[by_mail, "clv"].min() > written.loc[~by_mail, "clv"].max()
