"""Time to churn: labels and figures by hand, the curve on simulated customers."""

from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.catalogue import CHURN
from features.engine.builder import available
from features.instants import days
from features.profile import Profile
from models.churn.curve import COLUMNS, EDGES, ChurnCurve, PersonPeriods
from training.curve import concordance, curve_metrics, curve_rows, fit_curve
from training.rows.labels import future_lapses

AT = datetime(2024, 3, 1, tzinfo=UTC)
LATER = datetime(2025, 1, 1, tzinfo=UTC)


@pytest.fixture
def lapses(
    make_profile: Callable[..., Profile], make_orders: Callable[..., pd.DataFrame]
) -> Callable[..., dict[str, float]]:
    """Days from 2024-03-01 until customers have been silent for 20 days."""

    def find(*orders: tuple[str, str], known_until: datetime = LATER) -> dict[str, float]:
        profile = make_profile(make_orders(*((customer, f"{day}T00:00:00Z", 1.0) for customer, day in orders)))
        found = future_lapses(profile, [AT], 20, known_until)
        return dict(zip(found["customer_id"], found["wait_days"], strict=True))

    return find


Lapses = Callable[..., dict[str, float]]


def test_a_customer_has_left_once_silent_for_the_threshold(lapses: Lapses) -> None:
    assert lapses(("a", "2024-02-25")) == {"a": 15.0}


def test_an_order_before_the_silence_is_over_puts_it_off(lapses: Lapses) -> None:
    assert lapses(("a", "2024-02-25"), ("a", "2024-03-16")) == {"a": 35.0}  # exactly 20 days later is in time
    assert lapses(("a", "2024-02-25"), ("a", "2024-03-17")) == {"a": 15.0}


def test_who_left_before_and_came_back_leaves_again(lapses: Lapses) -> None:
    assert lapses(("a", "2024-01-01"), ("a", "2024-02-25")) == {"a": 15.0}


def test_a_silence_that_is_not_over_when_the_data_end_is_not_known(lapses: Lapses) -> None:
    assert lapses(("a", "2024-02-25"), known_until=datetime(2024, 3, 16, tzinfo=UTC)) == {"a": 15.0}
    assert lapses(("a", "2024-02-25"), known_until=datetime(2024, 3, 15, tzinfo=UTC)) == {}


def test_concordance_by_hand() -> None:
    wait = np.array([1.0, 2.0, 3.0, np.inf])
    assert concordance(np.array([0.9, 0.8, 0.7, 0.1]), wait) == 1.0
    assert concordance(np.array([0.1, 0.2, 0.3, 0.4]), wait) == 0.0
    assert concordance(np.array([0.5, 0.5, 0.5, 0.5]), wait) == 0.5
    assert concordance(np.array([0.9, 0.7, 0.8, 0.1]), wait) == pytest.approx(5 / 6)


def periods(wait: list[float], observed: float = 90.0) -> PersonPeriods:
    rows = pd.DataFrame({"days_since_last_order": np.zeros(len(wait))})
    return PersonPeriods(rows, np.array(wait), np.full(len(wait), observed))


def test_figures_of_a_known_curve_by_hand() -> None:
    """Four customers, one leaving in each of the first two periods; the curve says a quarter more each period."""
    seen = periods([10.0, 40.0, np.nan, np.nan])
    curve = ChurnCurve(("days_since_last_order",), 90.0, (0.25, 1 / 3, 0.5))
    assert curve.score(seen.rows).iloc[0, :3].tolist() == pytest.approx([0.25, 0.5, 0.75])
    found = curve_metrics(curve, seen, seen)
    brier = [0.1875, 0.25, 0.3125]
    area = 15 * brier[0] + 15 * (brier[0] + brier[1]) + 15 * (brier[1] + brier[2])
    assert found["integrated_brier"] == pytest.approx(area / 90)
    usual = [0.1875, 0.25, 0.25]  # Kaplan-Meier: a quarter, a half, a half
    area = 15 * usual[0] + 15 * (usual[0] + usual[1]) + 15 * (usual[1] + usual[2])
    assert found["integrated_brier_kaplan_meier"] == pytest.approx(area / 90)
    assert found["c_index"] == 0.5


def test_only_periods_that_were_seen_whole_are_learned_and_measured() -> None:
    seen = periods([10.0, 40.0, np.nan, np.nan], observed=75.0)
    curve = ChurnCurve.fit(seen, 90.0)
    assert len(curve.hazards) == 2
    assert curve.hazards == (0.25, pytest.approx(1 / 3))
    assert curve.score(seen.rows)[list(COLUMNS[2:])].isna().to_numpy().all()
    assert curve_metrics(curve, periods([np.nan], observed=20.0), seen) == {}


@pytest.fixture(scope="module")
def found(simulated: Profile) -> tuple[ChurnCurve, PersonPeriods, PersonPeriods]:
    """A curve, what it learned from, and what came after."""
    names = available(simulated, CHURN).features.names
    cutoff = simulated.known_until - days(180)
    made = fit_curve(simulated, names, 90, cutoff)
    assert made is not None
    return *made, curve_rows(simulated, names, [cutoff], 90, simulated.known_until)


def test_the_curve_foretells_who_leaves_first_better_than_kaplan_meier(
    found: tuple[ChurnCurve, PersonPeriods, PersonPeriods],
) -> None:
    curve, learned, later = found
    metrics = curve_metrics(curve, later, learned)
    assert metrics["c_index"] > 0.75
    assert metrics["integrated_brier"] < 0.7 * metrics["integrated_brier_kaplan_meier"]


def test_its_level_is_that_of_what_came_after(found: tuple[ChurnCurve, PersonPeriods, PersonPeriods]) -> None:
    """About 690 customers: a share's standard error is below 0.02."""
    curve, _, later = found
    told = curve.score(later.rows).mean()
    for name, edge in zip(COLUMNS[:4], EDGES[:4], strict=True):
        assert told[name] == pytest.approx((later.wait_days < edge).mean(), abs=0.06)


@settings(max_examples=20, deadline=None)
@given(shift=st.floats(-5, 80), repeats=st.integers(0, 30))
def test_the_curve_never_falls_and_is_certain_of_who_has_left(
    shift: float, repeats: int, found: tuple[ChurnCurve, PersonPeriods, PersonPeriods]
) -> None:
    curve, _, later = found
    rows = later.rows.assign(
        days_since_last_order=lambda t: (t["days_since_last_order"] + shift).clip(lower=0), frequency=float(repeats)
    )
    told = curve.score(rows).to_numpy()
    assert (np.diff(told, axis=1) >= 0).all()
    assert ((told >= 0) & (told <= 1)).all()
    gone = (rows["days_since_last_order"] >= 90).to_numpy()
    assert (told[gone] == 1).all()


def test_a_row_alone_scores_as_among_others_and_a_kept_curve_as_before(
    found: tuple[ChurnCurve, PersonPeriods, PersonPeriods],
) -> None:
    curve, _, later = found
    rows = later.rows.head(50)
    whole = curve.score(rows)
    alone = pd.concat([curve.score(rows.iloc[[i]].reset_index(drop=True)) for i in range(50)], ignore_index=True)
    pd.testing.assert_frame_equal(alone, whole, check_exact=True)
    pd.testing.assert_frame_equal(ChurnCurve.from_state(curve.state()).score(rows), whole, check_exact=True)


def test_a_history_too_short_has_no_curve(simulated: Profile) -> None:
    assert fit_curve(simulated, ["frequency", "days_since_last_order"], 90, simulated.known_from + days(80)) is None


def test_the_curve_agrees_with_the_churn_probability_beside_it() -> None:
    """Hazards 0.1, 0.2, 0.5: by day 30, 60, 90 it is 0.1, 0.28, 0.64; nothing is learned beyond."""
    curve = ChurnCurve(("days_since_last_order",), 60.0, (0.1, 0.2, 0.5))
    rows = pd.DataFrame({"days_since_last_order": [5.0, 5.0, 70.0, 70.0]})
    probability, gone = np.array([0.5, 0.05, 0.3, 0.3]), np.array([False, False, False, True])
    told = curve.beside(rows, probability, 60.0, gone)[list(COLUMNS)].to_numpy()
    np.testing.assert_allclose(
        told,
        [
            [0.1, 0.5, 0.64, np.nan, np.nan],  # no order by day 60 is 60 days of silence by then
            [0.1, 0.28, 0.64, np.nan, np.nan],
            [0.3, 0.3, 0.3, np.nan, np.nan],  # as silent already, and yet likely to come back
            [1.0, 1.0, 1.0, np.nan, np.nan],
        ],
    )
