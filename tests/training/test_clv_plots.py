from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.profile import Profile
from models.families import FAMILIES
from training.clv import ClvJob
from training.config import TrainConfig
from training.reporting.clv_plots import (
    CLV_PLOTS,
    deciles_with_intervals,
    expected_and_actual_orders,
    expected_within,
    frequency_recency_matrix,
    one_customer,
    tracked,
    value_concentration,
)
from training.reporting.plots import draw
from training.result import FitResult
from training.rows.timeline import timeline


@pytest.fixture(scope="module")
def result(clv_result: FitResult) -> FitResult:
    return clv_result


def test_orders_tracked_are_those_learned_from_and_those_of_the_holdout(result: FitResult) -> None:
    data, holdout = tracked(result), result.prepared.splits["holdout"]
    before, after = data[data["day"] < 0], data[data["day"] >= 0]
    assert before["actual"].sum() == holdout.rows["frequency"].sum()
    assert after["actual"].sum() == holdout.outcome["order_days"].sum()
    assert (data["actual"] >= 0).all()
    assert len(after) == result.config.horizon_days


def test_expected_orders_of_all_days_add_up_to_what_customers_are_expected_to_order(result: FitResult) -> None:
    data = tracked(result)
    after = data[data["day"] >= 0]
    assert after["expected"].sum() == pytest.approx(result.measured.scores["expected_orders"].sum())
    assert after["expected_total"].is_monotonic_increasing
    last, total = data.iloc[-1], data.loc[data["day"] < 0, "actual"].sum()
    assert last["expected_total"] == pytest.approx(total + after["expected"].sum())


def test_newcomers_are_expected_to_order_as_much_as_they_did(result: FitResult) -> None:
    # the model was fitted to these orders: what it expects of newcomers must come near them in total
    before = tracked(result).query("day < 0")
    assert before["expected"].sum() / before["actual"].sum() == pytest.approx(1, abs=0.1)


def test_a_shorter_horizon_is_what_the_model_would_forecast_for_it(result: FitResult) -> None:
    rows, scores = result.prepared.splits["holdout"].rows, result.measured.scores
    found = expected_within(result.evaluated.model, rows, scores, np.arange(91.0))
    short = FAMILIES["clv_bgnbd"].make({"horizon_days": 30.0})
    own = short.fit(result.prepared.splits["train"].rows).score(rows)["expected_orders"].sum()
    assert found[30] == pytest.approx(own, rel=0.01)
    assert found[0] == 0


def test_a_family_without_a_story_of_dropping_out_is_drawn_straight(
    result: FitResult, config: TrainConfig, tmp_path: Path
) -> None:
    family, job = FAMILIES["clv_naive"], ClvJob()
    model = job.learn(family, config, result.prepared)
    measured = job.measure(model, result.prepared.splits["holdout"], config, result.prepared)
    naive = replace(result, family=family, evaluated=replace(result.evaluated, model=model), measured=measured)
    after = tracked(naive).query("day >= 0")["expected"]
    assert after.max() == pytest.approx(after.min())
    assert len(draw(naive, tmp_path)) == len(CLV_PLOTS)


def test_tenths_hold_every_customer_and_their_intervals_are_in_order(result: FitResult) -> None:
    _, data = deciles_with_intervals(result)
    outcome = result.prepared.splits["holdout"].outcome
    assert (data["rows"] * data["actual"]).sum() == pytest.approx(outcome["order_value"].sum())
    assert data["expected"].is_monotonic_decreasing
    bounds = data[["low_90", "low_50", "expected", "high_50", "high_90"]].to_numpy()
    assert (np.diff(bounds, axis=1) >= 0).all()


def test_tenths_lie_wider_where_the_backtest_looked_less_far_ahead(result: FitResult) -> None:
    # of a level that is a random walk, errors over a ninth of the horizon are a third of those over all of it
    assert result.backtest is not None
    window, horizon = result.backtest.window_days, result.config.horizon_days
    assert window == horizon
    shorter = replace(result.backtest, table=result.backtest.table.assign(horizon_days=horizon // 9))
    errors = result.backtest.table.assign(bias_total_value=lambda table: (1 + table["bias_total_value"]) ** 3 - 1)
    worse = replace(result.backtest, table=errors)
    (drawn, wider), (_, same) = (deciles_with_intervals(replace(result, backtest=each)) for each in (shorter, worse))
    pd.testing.assert_frame_equal(wider, same)
    assert (wider["high_90"] > deciles_with_intervals(result)[1]["high_90"]).all()
    assert f"{horizon // 9} days, widened by √({horizon}/{horizon // 9})" in drawn.axes[0].get_xlabel()


def test_tenths_say_what_their_intervals_are_from(result: FitResult) -> None:
    window = result.config.horizon_days
    labels = [deciles_with_intervals(each)[0].axes[0].get_xlabel() for each in (result, replace(result, backtest=None))]
    assert labels[0].endswith(f"errors of the backtest's totals over {window} days")
    assert labels[1].endswith("no backtest; totals taken to be off by 15%, as is usual")


def test_tenths_are_labelled_with_currency_and_scale(result: FitResult) -> None:
    figure, _ = deciles_with_intervals(result)
    assert figure.axes[0].get_ylabel() == "mean value ordered, EUR (square-root scale)"
    unknown = replace(result, prepared=replace(result.prepared, currency=None))
    assert deciles_with_intervals(unknown)[0].axes[0].get_ylabel() == "mean value ordered (square-root scale)"


def test_cells_of_the_matrix_hold_the_forecasts_of_real_customers(result: FitResult) -> None:
    _, data = frequency_recency_matrix(result)
    split, scores = result.prepared.splits["holdout"], result.measured.scores
    assert data["rows"].sum() == len(split.rows)
    assert (data["rows"] * data["expected_orders"]).sum() == pytest.approx(scores["expected_orders"].sum())
    assert (data["rows"] * data["actual_orders"]).sum() == pytest.approx(split.outcome["order_days"].sum())
    cell = data.sort_values("rows").iloc[-1]
    silence = split.rows["T_days"] - split.rows["recency_days"]
    here = split.rows["frequency"].between(cell["frequency_from"], cell["frequency_to"]) & silence.between(
        cell["days_since_last_order_from"], cell["days_since_last_order_to"]
    )
    assert cell["rows"] == here.sum()
    for name in ("expected_orders", "probability_active"):
        assert cell[name] == pytest.approx(scores.loc[here.to_numpy(), name].mean())


def test_customers_who_order_often_and_ordered_lately_are_shown_with_what_they_order(result: FitResult) -> None:
    # made-up customers whose other columns were typical ones were shown with a tenth of it
    _, data = frequency_recency_matrix(result)
    best = data[data["days_since_last_order_from"] == 0].iloc[-1]
    assert best["frequency_from"] >= 10
    assert best["expected_orders"] == data["expected_orders"].max()
    assert best["expected_orders"] == pytest.approx(best["actual_orders"], rel=0.25)


def test_the_matrix_says_how_far_ahead_and_in_what_units(result: FitResult) -> None:
    figure, data = frequency_recency_matrix(result)
    orders, active, *bars = figure.axes
    assert orders.get_title() == f"expected order days in {result.config.horizon_days} days"
    assert {axis.get_xlabel() for axis in (orders, active)} == {"repeat order days before the cutoff"}
    assert {axis.get_ylabel() for axis in (orders, active)} == {"days since the last order"}
    assert [bar.get_ylabel() for bar in bars] == ["order days, mean", "probability, mean"]
    cells = orders.images[0].get_array()
    assert cells is not None
    assert (~np.ma.getmaskarray(np.ma.masked_invalid(cells))).sum() == len(data)  # blank where nobody is


def test_one_customer_alone_has_no_interval(result: FitResult) -> None:
    split = result.prepared.splits["holdout"]
    alone = split.outcome.assign(frequency=[6, *[0] * (len(split.outcome) - 1)])
    changed = {**result.prepared.splits, "holdout": replace(split, outcome=alone)}
    _, data = expected_and_actual_orders(replace(result, prepared=replace(result.prepared, splits=changed)))
    assert data["rows"].tolist() == [len(split.outcome) - 1, 1]
    assert data["actual_error"].isna().tolist() == [False, True]


def test_nobody_ranks_better_than_hindsight(result: FitResult) -> None:
    _, data = value_concentration(result)
    assert data.iloc[0].tolist() == [0, 0, 0, 0]
    assert data.iloc[-1].tolist() == pytest.approx([1, 1, 1, 1])
    for name in ("by the model", "by the baseline"):
        assert (data[name] <= data["in hindsight"] + 1e-12).all()
        assert data[name].is_monotonic_increasing
    best = np.sort(result.prepared.splits["holdout"].outcome["order_value"])[::-1]
    assert data["in hindsight"].iloc[40] == pytest.approx(best[:300].sum() / best.sum())  # a fifth of 1,500


def test_one_customers_bounds_are_in_order_and_grow(result: FitResult) -> None:
    _, data = one_customer(result)
    assert (data[["low_90", "low_50", "high_50", "high_90"]].diff(axis=1).iloc[:, 1:] >= 0).all(axis=None)
    assert data["expected_orders"].is_monotonic_increasing
    assert result.prepared.timeline is not None
    row = result.prepared.timeline.example
    assert data["actual"].iloc[-1] == result.prepared.splits["holdout"].outcome["order_days"].iloc[row]


def test_days_are_counted_from_a_cutoff_within_a_day(
    make_profile: Callable[..., Profile], make_orders: Callable[..., pd.DataFrame]
) -> None:
    orders = make_orders(
        ("a", "2024-01-01 09:00", 5.0), ("a", "2024-01-03 08:00", 5.0), ("a", "2024-01-03 18:00", 5.0),
        ("a", "2024-01-05 10:00", 5.0), ("b", "2024-01-02 10:00", 5.0), ("b", "2024-01-04 10:00", 5.0),
        ("b", "2024-01-04 11:00", 5.0), ("new", "2024-01-04 10:00", 5.0), ("a", "2024-02-01 10:00", 5.0),
    )  # fmt: skip
    profile, cutoff = make_profile(orders), datetime(2024, 1, 3, 12, tzinfo=UTC)
    settings = TrainConfig(horizon_days=10)
    job = ClvJob()
    split = job.holdout(settings, profile, FAMILIES["clv_bgnbd"].feature_set, cutoff)
    found = timeline(profile, split, settings, cutoff)
    # Jan 3 was the last observed day; what a ordered later on that day belongs to the first of the holdout
    assert dict(zip(found.daily["day"], found.daily["order_days"], strict=True)) == {-3: 1, -2: 1, -1: 1, 0: 2, 1: 1}
    assert split.keys["customer_id"].iloc[found.example] == "a"
    assert found.example_days.tolist() == [-3, -1, 0, 1]
    ahead = found.daily.loc[found.daily["day"] >= 0, "order_days"].sum()
    assert ahead == split.outcome["order_days"].sum()
