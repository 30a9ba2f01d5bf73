"""Orders that end before the profile does: what is missing is not what customers did not do."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.profile import Profile
from training.config import TrainConfig
from training.errors import AnswersEndEarly, TooRareToMeasure
from training.fit import fit
from training.rows.ended import require_answers
from training.rows.usable import require_measurable

START = pd.Timestamp("2023-01-01", tz="UTC")
Make = Callable[..., Profile]


@pytest.fixture
def make(make_profile: Make) -> Make:
    """A profile with orders on some days, and sessions on every day of 2023."""

    def made(days: Any) -> Profile:
        times = START + pd.to_timedelta(np.asarray(days), unit="D") + pd.Timedelta(hours=9)
        orders = pd.DataFrame({"customer_id": "a", "order_id": [f"o{d}" for d in days], "event_time": times})
        sessions = pd.DataFrame(
            {"customer_id": "a", "event_time": pd.date_range(START, periods=365), "kind": "session"}
        )
        return make_profile(orders.assign(value=1.0), events=sessions)

    return made


def refused(profile: Profile, cutoff: datetime, **settings: Any) -> str:
    try:
        require_answers(profile, "orders", "event_time", TrainConfig(horizon_days=90, **settings), cutoff)
    except AnswersEndEarly as error:
        return str(error)
    return ""


def test_orders_that_end_weeks_before_the_profile_are_refused_with_their_last_day(make: Make) -> None:
    said = refused(make(range(320)), datetime(2023, 10, 3, tzinfo=UTC))
    for part in ("'orders'", "from 2023-11-17 on", "45 days before", "--cutoff up to 2023-08-19"):
        assert part in said


def test_window_that_ends_with_the_orders_may_be_evaluated_but_not_learned_from_once_more(make: Make) -> None:
    profile, cutoff = make(range(320)), datetime(2023, 8, 19, tzinfo=UTC)
    assert not refused(profile, cutoff, refit=False)
    assert refused(profile, cutoff, refit=True)
    assert refused(profile, datetime(2023, 8, 20, tzinfo=UTC), refit=False)


@pytest.mark.parametrize(
    "days",
    [
        pytest.param(range(365), id="to the end"),
        pytest.param(range(359), id="six days short"),
        pytest.param([d for d in range(335) if not 100 <= d < 116], id="as silent as twice before"),
        pytest.param(range(20), id="too few to have a rhythm"),
    ],
)
def test_silence_that_is_not_out_of_the_ordinary_is_none(make: Make, days: Any) -> None:
    assert not refused(make(days), datetime(2023, 10, 3, tzinfo=UTC))


def test_churn_of_orders_that_end_early_is_not_trained(simulated: Profile, make_profile: Make) -> None:
    orders, events = (simulated.backend.to_pyarrow(simulated.tables[name]).to_pandas() for name in ("orders", "events"))
    kept = orders[orders["event_time"] < orders["event_time"].max() - pd.Timedelta(days=40)]
    with pytest.raises(AnswersEndEarly, match="'orders' has nothing from"):
        fit("churn", make_profile(kept, events=events), TrainConfig(), "churn_logistic")


def test_holdout_of_one_outcome_is_not_measured() -> None:
    answers = np.array([1.0] * 100 + [0.0] * 4)
    with pytest.raises(TooRareToMeasure, match="100 of 104 customers on the holdout have 'left'"):
        require_measurable("holdout", answers, "left")
    with pytest.raises(TooRareToMeasure):
        require_measurable("holdout", 1 - answers, "left")
    require_measurable("holdout", np.append(answers, 0.0), "left")


@pytest.fixture
def stopped(make_profile: Make) -> Profile:
    """Customers who order at random until three of them are left."""
    generator = np.random.default_rng(5)
    rows = []
    for customer in range(300):
        day = generator.exponential(40)
        while day < (700 if customer < 3 else 560):
            rows.append((f"c{customer:03d}", START + pd.Timedelta(days=day), 10.0))
            day += generator.exponential(40)
    frame = pd.DataFrame(rows, columns=["customer_id", "event_time", "value"])
    return make_profile(frame.assign(order_id=[f"o{i}" for i in range(len(frame))]))


def test_churn_is_not_trained_where_hardly_anybody_orders_in_the_holdout(stopped: Profile) -> None:
    with pytest.raises(TooRareToMeasure, match="of 300 customers on the holdout have 'no order in 90 days'"):
        fit("churn", stopped, TrainConfig(), "churn_logistic")
