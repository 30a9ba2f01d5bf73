"""What must hold of every family of lifetime value, whatever the customer."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.base import Model
from models.clv.hybrid import ClvHybrid
from models.families import FAMILIES, families_of

NAMES = [family.name for family in families_of("clv")]
BTYD = ["clv_bgnbd", "clv_mbgnbd", "clv_pareto_nbd"]
FORGETS = [*BTYD, "clv_hybrid"]
"""The naive forecast knows no silence."""
EVERY = pytest.mark.parametrize("name", NAMES)
COMMON = ("frequency", "recency_days", "T_days", "monetary_value")

Fitted = Callable[[str], Model]
Frames = dict[str, pd.DataFrame]


@pytest.fixture(scope="session")
def histories_only(simulated_rows: Frames) -> ClvHybrid:
    """The hybrid on what purchase histories say alone: the rest of a made-up customer is not at odds with them."""
    return ClvHybrid(horizon_days=180).fit(simulated_rows["clv_hybrid"])


@pytest.fixture(scope="session")
def model_of(fitted: Fitted, histories_only: ClvHybrid) -> Fitted:
    """A fitted model of each family."""
    return lambda name: histories_only if name == "clv_hybrid" else fitted(name)


@pytest.fixture(scope="session")
def customers(simulated_rows: Frames) -> Callable[..., pd.DataFrame]:
    """Rows of made-up customers (frequency, recency, age, mean value) in a family's columns."""

    def make(name: str, *made: tuple[float, float, float, float]) -> pd.DataFrame:
        features = FAMILIES[name].feature_set.name
        rows = simulated_rows[features].iloc[[0] * len(made)].reset_index(drop=True).copy()
        for column, values in zip(COMMON, zip(*made, strict=True), strict=True):
            rows[column] = [
                np.nan if column == "monetary_value" and x == 0 else v for v, (x, *_) in zip(values, made, strict=True)
            ]
        if "first_day_value" in rows:
            rows["first_day_value"] = [value for *_, value in made]
        return rows

    return make


def at_extremes(repeats: int, share: float, age: int, value: float) -> tuple[float, float, float, float]:
    """A history that does not contradict itself."""
    repeats = min(repeats, age)
    recency = float(max(repeats, round(share * age))) if repeats else 0.0
    return float(repeats), recency, float(age), value


histories = st.builds(at_extremes, st.integers(0, 3_000), st.floats(0, 1), st.integers(1, 10_000), st.floats(0.01, 1e9))


@EVERY
@settings(max_examples=25, deadline=None)
@given(one=histories)
def test_every_forecast_is_finite_ordered_and_never_below_zero(
    model_of: Fitted, customers: Callable[..., pd.DataFrame], name: str, one: tuple[float, float, float, float]
) -> None:
    scores = model_of(name).score(customers(name, one)).drop(columns="evidence").iloc[0].astype(float)
    assert np.isfinite(scores.to_numpy()).all()
    assert (scores[[column for column in scores.index if "_from_" not in column]] >= 0).all()
    for of in ("expected_orders", "clv"):
        bounds = scores[[f"{of}_{level}" for level in ("low_90", "low_50", "high_50", "high_90")]].to_numpy()
        assert (np.diff(bounds) >= 0).all()


@EVERY
@settings(max_examples=10, deadline=None)
@given(some=st.lists(histories, min_size=2, max_size=4))
def test_one_row_equals_its_row_in_a_batch(
    model_of: Fitted, customers: Callable[..., pd.DataFrame], name: str, some: list[tuple[float, float, float, float]]
) -> None:
    rows = customers(name, *some)
    whole = model_of(name).score(rows)
    for i in range(len(rows)):
        alone = model_of(name).score(rows.iloc[[i]].reset_index(drop=True))
        pd.testing.assert_frame_equal(alone, whole.iloc[[i]].reset_index(drop=True))


@pytest.mark.parametrize("name", FORGETS)
@settings(max_examples=25, deadline=None)
@given(repeats=st.integers(1, 50), recency=st.integers(50, 700), silence=st.integers(0, 700), more=st.integers(1, 700))
def test_forecasts_fall_with_silence(
    model_of: Fitted,
    customers: Callable[..., pd.DataFrame],
    name: str,
    repeats: int,
    recency: int,
    silence: int,
    more: int,
) -> None:
    rows = customers(name, *((repeats, recency, recency + days, 20.0) for days in (silence, silence + more)))
    before, after = model_of(name).score(rows)["expected_orders"]
    assert after <= before * (1 + 1e-9) + 1e-9
    before, after = model_of(name).score(rows)["probability_active"]
    assert after <= before + 1e-9


@EVERY
@settings(max_examples=25, deadline=None)
@given(repeats=st.integers(0, 60), more=st.integers(1, 60), age=st.integers(121, 900))
def test_forecasts_rise_with_frequency_of_those_who_have_just_ordered(
    model_of: Fitted, customers: Callable[..., pd.DataFrame], name: str, repeats: int, more: int, age: int
) -> None:
    rows = customers(name, *((n, age if n else 0, age, 20.0) for n in (repeats, repeats + more)))
    fewer, often = model_of(name).score(rows)["expected_orders"]
    assert often >= fewer * (1 - 1e-9)


@EVERY
@settings(max_examples=25, deadline=None)
@given(repeats=st.integers(1, 60), age=st.integers(61, 900), value=st.floats(1, 500))
def test_a_one_time_buyer_is_not_worth_more_than_one_who_came_back_just_now_and_spends_alike(
    model_of: Fitted, customers: Callable[..., pd.DataFrame], name: str, repeats: int, age: int, value: float
) -> None:
    scores = model_of(name).score(customers(name, (0, 0, age, value), (repeats, age, age, value)))
    assert scores["expected_orders"][0] <= scores["expected_orders"][1] * (1 + 1e-9)
    if name == "clv_hybrid":  # the only one that knows what the first order was worth
        assert scores["clv"][0] <= scores["clv"][1] * (1 + 1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_forecasts_grow_with_the_horizon(simulated_rows: Frames, name: str) -> None:
    family = FAMILIES[name]
    rows = simulated_rows[family.feature_set.name].iloc[:400].reset_index(drop=True)
    orders = [
        family.make({"horizon_days": days}).fit(rows).score(rows)["expected_orders"] for days in (30.0, 90.0, 365.0)
    ]
    assert (orders[0] <= orders[1]).all()
    assert (orders[1] <= orders[2]).all()


@pytest.mark.parametrize("name", BTYD)
def test_the_interval_is_wider_relative_to_the_forecast_with_less_evidence(
    model_of: Fitted, customers: Callable[..., pd.DataFrame], name: str
) -> None:
    """The same rate, seen ten times longer."""
    scores = model_of(name).score(customers(name, (4, 60, 60, 20.0), (40, 600, 600, 20.0)))
    few, much = scores["clv_standard_deviation"] / scores["clv"]
    assert few > much
