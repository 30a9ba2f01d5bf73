from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

import models.clv.hybrid
import models.clv.next_order
from features.catalogue import CLV_HYBRID
from models.base import Array, Model
from models.clv.corrections.consensus import Consensus, reconciled
from models.clv.corrections.movement import Movement
from models.clv.histories import Histories
from models.clv.hybrid import ClvHybrid
from models.clv.orders.bgnbd import BgNbd
from models.clv.orders.pareto import ParetoNbd
from models.clv.past import Past

Rows = dict[str, pd.DataFrame]
PastOf = Callable[[int | None], Past]
NAME = "clv_hybrid"


@pytest.fixture(scope="module")
def hybrid(fitted: Callable[[str], Model]) -> ClvHybrid:
    model = fitted(NAME)
    assert isinstance(model, ClvHybrid)
    return model


@pytest.fixture(scope="module")
def rows(simulated_rows: Rows) -> pd.DataFrame:
    return simulated_rows[NAME]


def test_trees_weigh_as_many_order_days_as_they_saw(hybrid: ClvHybrid, simulated_past: PastOf) -> None:
    followed = simulated_past(None).order_days.sum()
    assert hybrid.trust_ == pytest.approx(followed / (followed + 2_000))
    assert hybrid.window_days_ == 120


def test_without_a_past_purchase_histories_stand_alone_and_say_so(rows: pd.DataFrame) -> None:
    model = ClvHybrid(horizon_days=180).fit(rows)
    alone, _ = Consensus.fit(Histories.of(rows))
    np.testing.assert_allclose(
        model.score(rows)["expected_orders"], alone.expected_orders(Histories.of(rows), 180), rtol=1e-12
    )
    assert any(warning.startswith("low evidence") and "histories alone" in warning for warning in model.warnings_)
    assert not model.state().texts
    assert np.isfinite(model.explain(rows).to_numpy()).all()


@pytest.mark.parametrize("upto", [60, 299])
def test_few_customers_are_forecast_from_purchase_histories_alone(
    upto: int, rows: pd.DataFrame, simulated_past: PastOf
) -> None:
    few = rows.iloc[:upto].reset_index(drop=True)
    with_past = ClvHybrid().fit(few, past=simulated_past(upto))
    pd.testing.assert_frame_equal(with_past.score(few), ClvHybrid().fit(few).score(few))
    assert any(f"{upto} customers" in warning for warning in with_past.warnings_)


def test_a_past_without_orders_teaches_nothing(rows: pd.DataFrame, simulated_past: PastOf) -> None:
    past = simulated_past(None)
    silent = Past(past.rows, past.window_days, np.zeros(len(past.rows)), np.zeros(len(past.rows)))
    model = ClvHybrid().fit(rows, past=silent)
    assert not model.boosters_
    assert any("0 order days after earlier" in warning for warning in model.warnings_)


def test_the_total_departs_from_purchase_histories_as_the_latest_window_did(
    rows: pd.DataFrame, simulated_past: PastOf
) -> None:
    past = simulated_past(None)
    ages = np.where(np.arange(len(past.rows)) % 2, past.window_days + 40.0, past.window_days)
    tripled = np.where(ages == ages.min(), 3 * past.order_days, past.order_days)
    model = ClvHybrid(horizon_days=90.0, trees=30)
    model.fit(rows, past=Past(past.rows, past.window_days, tripled, past.order_value, ages))
    told = model.orders_.expected_orders(Histories.of(rows), 90.0)
    assert np.log(model.score(rows)["expected_orders"].sum() / told.sum()) == pytest.approx(0.05)


def test_a_lull_of_the_last_windows_moves_neither_the_total_nor_how_many_order(
    rows: pd.DataFrame, simulated_past: PastOf
) -> None:
    past, ordering = simulated_past(None), {}
    for share in (1.0, 0.5):
        fewer = np.random.default_rng(1).binomial(past.order_days.astype(int), share).astype(float)
        ages = np.full(len(past.rows), past.window_days)
        model = ClvHybrid(horizon_days=90.0, trees=30)
        model.fit(rows, past=Past(past.rows, past.window_days, fewer, past.order_value, ages))
        told = model.orders_.expected_orders(Histories.of(rows), 90.0)
        assert model.score(rows)["expected_orders"].sum() == pytest.approx(told.sum())
        ordering[share] = 1 - model.probability_no_order(rows).mean()
    assert model.levels_["silence"] < -0.2
    model.levels_["silence"] = 0.0
    followed = 1 - model.probability_no_order(rows).mean()
    assert abs(ordering[0.5] - ordering[1.0]) < abs(followed - ordering[1.0])


@pytest.mark.parametrize("moved", [-0.3, 0.4])
def test_totals_follow_a_bias_or_a_season_instead_where_one_is_known(
    moved: float, rows: pd.DataFrame, simulated_past: PastOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.clv.hybrid.movement", lambda *_: Movement(moved, ("told of it",)))
    model = ClvHybrid(horizon_days=90.0, trees=30).fit(rows, past=simulated_past(None))
    told = model.orders_.expected_orders(Histories.of(rows), 90.0)
    assert np.log(model.score(rows)["expected_orders"].sum() / told.sum()) == pytest.approx(moved)
    assert "told of it" in model.warnings_


def test_orders_worth_twice_as_much_as_before_raise_the_value_by_half_of_that(
    rows: pd.DataFrame, simulated_past: PastOf
) -> None:
    past, found = simulated_past(None), {}
    for times in (1.0, 2.0):
        worth_more = Past(past.rows, past.window_days, past.order_days, times * past.order_value, past.ages)
        model = ClvHybrid(horizon_days=90.0, trees=30).fit(rows, past=worth_more)
        found[times] = model.score(rows)[["expected_orders", "clv"]].sum()
    assert found[2.0]["expected_orders"] == pytest.approx(found[1.0]["expected_orders"])
    assert found[2.0]["clv"] / found[1.0]["clv"] == pytest.approx(np.sqrt(2.0), rel=2e-3)
    assert model.fitted_parameters()["movement_of_order_value"] > 1.3
    assert ClvHybrid.from_state(model.state()).fitted_parameters() == model.fitted_parameters()
    assert any(told.startswith("the value of an order: +") for told in model.warnings_)


def test_contributions_add_up_to_the_log_ratio_of_values(rows: pd.DataFrame, simulated_past: PastOf) -> None:
    model = ClvHybrid(horizon_days=180, annual_discount_rate=0.0, trees=20).fit(rows, past=simulated_past(None))
    sums, values = model.explain(rows).sum(axis=1), np.log(model.score(rows)["clv"])
    np.testing.assert_allclose(sums - sums[0], values - values[0], atol=1e-9)


def test_contributions_of_histories_alone_add_up_to_the_log_ratio_of_values(rows: pd.DataFrame) -> None:
    model = ClvHybrid(horizon_days=180, annual_discount_rate=0.0).fit(rows)
    sums, values = model.explain(rows).sum(axis=1), np.log(model.score(rows)["clv"])
    np.testing.assert_allclose(sums - sums[0], values - values[0], atol=1e-9)


def test_value_is_margin_on_orders_times_their_value_less_discount(hybrid: ClvHybrid, rows: pd.DataFrame) -> None:
    scores = hybrid.score(rows)
    undiscounted = scores["expected_orders"] * scores["expected_order_value"]
    assert (scores["clv"] <= undiscounted * (1 + 1e-9)).all()
    assert (scores["clv"] >= undiscounted * 1.1 ** (-180 / 365)).all()


def test_probability_of_silence_is_one_and_falls_with_expected_orders(hybrid: ClvHybrid, rows: pd.DataFrame) -> None:
    silent, expected = hybrid.probability_no_order(rows), hybrid.score(rows)["expected_orders"].to_numpy()
    assert ((silent > 0) & (silent < 1)).all()
    assert np.corrcoef(np.log(expected), np.log(silent / (1 - silent)))[0, 1] < -0.9


def test_the_average_customer_is_worth_what_customers_are_worth_on_average(
    hybrid: ClvHybrid, rows: pd.DataFrame
) -> None:
    scores = hybrid.score(rows)
    orders = (scores["probability_active"] * scores["discounted_orders_if_active"]).mean()
    spend = np.exp(hybrid._views(rows).spend).mean()
    assert scores["clv_of_average"][0] == pytest.approx(orders * spend, rel=1e-9)


def test_who_left_for_certain_is_not_explained_by_orders_nobody_could_place(
    hybrid: ClvHybrid, rows: pd.DataFrame
) -> None:
    # 200 order days in as many days, and none in the 3,000 since: P(alive) is next to nothing, what trees say is not
    gone = rows.iloc[[0]].assign(frequency=200.0, recency_days=200.0, T_days=3_200.0, monetary_value=10.0)
    scores = hybrid.score(gone.reset_index(drop=True)).iloc[0]
    assert 0 < scores["probability_active"] < 0.05
    assert 0.9 < scores["discounted_orders_if_active"] < 2 * hybrid.horizon_days
    assert scores["expected_orders"] >= 1 - hybrid.probability_no_order(gone.reset_index(drop=True))[0]
    assert scores["clv_standard_deviation"] < 10 * hybrid.horizon_days * scores["expected_order_value"]
    assert scores["days_to_next_order"] > 1.5


def test_what_is_forecast_of_a_customer_is_made_to_agree() -> None:
    # orders, log-odds of none, P(alive), orders if any. The first agree; the second's orders are fewer than one now and
    # then, the third's more than any customer of the kind places, the fourth is active as seldom as orders.
    orders, if_any = np.array([0.5, 0.01, 4.0, 0.3]), np.array([1.5, 1.5, 2.0, 2.0])
    silence = np.log([0.7 / 0.3, 0.5 / 0.5, 0.99 / 0.01, 0.8 / 0.2])
    told, active = reconciled(orders, silence, np.array([0.6, 0.9, 0.8, 0.1]), if_any)
    np.testing.assert_allclose(1 - expit(told), [0.3, 1 - np.exp(-0.01), 1 - np.exp(-1.0), 0.2], rtol=1e-9)
    np.testing.assert_allclose(active, [0.6, 0.9, 0.8, 0.2], rtol=1e-9)


def test_orders_that_all_cost_the_same_are_forecast_to_cost_that(rows: pd.DataFrame, simulated_past: PastOf) -> None:
    past, price = simulated_past(None), 9.99
    spent = {
        name: np.where(rows[name].notna() & (rows[name] > 0), price, rows[name])
        for name in ("monetary_value", "first_day_value")
    }
    before = {name: np.where(past.rows[name].notna() & (past.rows[name] > 0), price, past.rows[name]) for name in spent}
    paid = Past(past.rows.assign(**before), past.window_days, past.order_days, price * past.order_days, past.ages)
    scores = ClvHybrid(horizon_days=180, trees=60).fit(rows.assign(**spent), past=paid).score(rows.assign(**spent))
    assert scores["expected_order_value"].to_numpy() == pytest.approx(price, rel=1e-3)


def test_an_order_is_not_worth_more_for_being_less_likely(hybrid: ClvHybrid, rows: pd.DataFrame) -> None:
    # years of silence later nothing else is known of what an order would be worth
    later, scores = rows.copy(), []
    for _ in range(4):
        scores.append(hybrid.score(later))
        for name in ("T_days", "days_since_last_order", "days_since_first_order", "tenure_days"):
            later[name] = later[name] + 365
    worth = np.stack([each["expected_order_value"] for each in scores])
    assert scores[3]["expected_orders"].sum() < scores[1]["expected_orders"].sum()
    assert np.median(worth[3] / worth[1]) == pytest.approx(1.0, abs=0.05)
    assert (worth[3] <= 1.5 * worth[1]).all()


def test_customers_of_one_order_are_not_active_for_ever(rows: pd.DataFrame) -> None:
    # a log that BG/NBD describes best, by far: it would have them stay for certain
    models = Consensus.fit(Histories.of(rows))[0].models
    bgnbd = next(model for model in models if model.kind == "bgnbd")
    best_by_far = Consensus(models, tuple(float(model is bgnbd) for model in models))
    customers = Histories(
        frequency=np.array([0.0, 0.0, 3.0]),
        recency_days=np.array([0.0, 0.0, 200.0]),
        T_days=np.array([30.0, 1_500.0, 300.0]),
        weight=np.ones(3),
    )
    recent, long_ago, again = best_by_far.ahead(customers).active
    assert long_ago < 0.9 * recent
    assert again == pytest.approx(bgnbd.probability_active(customers)[2])


def test_what_a_forecast_may_stumble_over_is_told(rows: pd.DataFrame) -> None:
    whale = rows.copy()
    whale.loc[whale["frequency"].idxmax(), "monetary_value"] = 1e7
    told = ClvHybrid(horizon_days=180).fit(whale).warnings_
    assert any("customers who spent most" in words and "hold 100% of all repeat spend" in words for words in told)


def test_orders_of_no_value_are_forecast_as_next_to_nothing(rows: pd.DataFrame, simulated_past: PastOf) -> None:
    past = simulated_past(None)
    nothing = {"monetary_value": 0.0, "first_day_value": 0.0}
    free = rows.assign(**nothing)
    worthless = Past(past.rows.assign(**nothing), past.window_days, past.order_days, 0 * past.order_value)
    scores = ClvHybrid(horizon_days=180, trees=20).fit(free, past=worthless).score(free)
    assert scores["expected_orders"].sum() > 100
    assert scores["clv"].between(0, 0.01).all()


numbers = st.floats(0, 1e9)


@settings(max_examples=50, deadline=None)
@given(repeats=st.integers(0, 3_000), recent=st.floats(0, 1), age=st.integers(1, 10_000), spend=numbers, other=numbers)
def test_extreme_customers_are_valued_finite_and_never_below_zero(
    hybrid: ClvHybrid, rows: pd.DataFrame, repeats: int, recent: float, age: int, spend: float, other: float
) -> None:
    row = rows.iloc[[0]].reset_index(drop=True).copy()
    filled: dict[str, Any] = {feature.name: other for feature in CLV_HYBRID.features if feature.dtype != "string"}
    filled |= {
        "frequency": float(repeats),
        "recency_days": np.ceil(recent * age) if repeats else 0.0,
        "T_days": float(age),
        "monetary_value": spend if repeats else np.nan,
        "first_day_value": spend,
    }
    if repeats and not filled["recency_days"]:
        filled["recency_days"] = 1.0
    for name, value in filled.items():
        row[name] = value
    scores = hybrid.score(row).drop(columns="evidence").iloc[0].astype(float)
    assert np.isfinite(scores.to_numpy()).all()
    steps = [name for name in scores.index if "_from_" in name]  # what a factor adds may be less than nothing
    assert (scores.drop(steps) >= 0).all()
    assert np.isfinite(hybrid.explain(row).to_numpy(dtype=np.float64)).all()


def of_one(model: BgNbd, histories: Histories) -> Array:
    """Expected orders in 90 days; who is active with less than a millionth is taken to be with that."""
    return np.maximum(model.probability_active(histories), 1e-6) * model.orders_if_active(histories, 90)


def test_the_average_of_one_model_is_that_model(rows: pd.DataFrame) -> None:
    model, histories = BgNbd(0.24, 30.9, 0.79, 2.43), Histories.of(rows)
    alone = Consensus((model,)).ahead(histories)
    np.testing.assert_allclose(alone.expected_orders(90), of_one(model, histories), rtol=1e-12)
    np.testing.assert_allclose(expit(alone.silence(90)), model.probability_no_order(histories, 90), atol=1e-6)


def test_the_average_is_the_geometric_mean_of_the_models(rows: pd.DataFrame) -> None:
    models, histories = (BgNbd(0.24, 30.9, 0.79, 2.43), BgNbd(0.9, 22.0, 0.8, 3.2)), Histories.of(rows)
    one, other = (of_one(model, histories) for model in models)
    np.testing.assert_allclose(Consensus(models).expected_orders(histories, 90), np.sqrt(one * other), rtol=1e-12)


def test_scores_in_chunks_are_those_of_all_at_once(
    hybrid: ClvHybrid, rows: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = hybrid.score(rows)
    monkeypatch.setattr(models.clv.hybrid, "CHUNK", 101)
    monkeypatch.setattr(models.clv.next_order, "CHUNK", 37)
    pd.testing.assert_frame_equal(hybrid.score(rows), whole, check_exact=True)


def test_one_customer_scores_the_same_bits_as_in_the_batch(hybrid: ClvHybrid, rows: pd.DataFrame) -> None:
    whole = hybrid.score(rows)
    for i in range(0, len(rows), len(rows) // 25):
        alone = hybrid.score(rows.iloc[[i]].reset_index(drop=True))
        pd.testing.assert_frame_equal(alone, whole.iloc[[i]].reset_index(drop=True), check_exact=True)


def test_who_is_active_is_found_once_for_all_that_is_said_of_a_customer(
    hybrid: ClvHybrid, rows: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    once = ParetoNbd.probability_active

    def counted(model: ParetoNbd, histories: Histories) -> Any:
        asked.append(len(histories))
        return once(model, histories)

    monkeypatch.setattr(ParetoNbd, "probability_active", counted)
    hybrid.score(rows)
    assert asked == [len(rows)]


def test_nobody_to_score_gives_the_columns_without_a_row(hybrid: ClvHybrid, rows: pd.DataFrame) -> None:
    nobody, somebody = hybrid.score(rows.iloc[:0]), hybrid.score(rows.iloc[:1])
    assert len(nobody) == 0
    assert nobody.dtypes.to_dict() == somebody.dtypes.to_dict()
