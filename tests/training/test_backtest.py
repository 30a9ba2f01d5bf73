import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from features.profile import Profile
from models.clv.equity import customer_equity
from models.families import FAMILIES
from training.config import TrainConfig
from training.errors import NothingToTrain
from training.evaluation.backtest import backtest, origins
from training.evaluation.naive import NAIVE
from training.evaluation.standings import Backtest, log_error
from training.fit import fit
from training.rows.past import past_times

CUTOFF = datetime(1997, 10, 1, tzinfo=UTC)
METRICS = {
    "poisson_deviance_orders", "rmse_orders", "log_loss_no_order", "mae_value", "gini_value", "bias_total_orders",
    "top_decile_share_value",
}  # fmt: skip


@pytest.fixture(scope="module")
def settings() -> TrainConfig:
    return TrainConfig(horizon_days=273)


@pytest.fixture(scope="module")
def done(cdnow_sample: Profile, settings: TrainConfig) -> Backtest:
    families = [FAMILIES[name] for name in ("clv_bgnbd", "clv_naive")]
    return backtest(cdnow_sample, settings, CUTOFF, families)


def ages(times: list[datetime]) -> list[int]:
    return [(CUTOFF - time).days for time in times]


def test_origins_leave_windows_that_do_not_overlap_and_a_window_of_history() -> None:
    times, window = origins(273, 273, CUTOFF)
    assert (ages(times), window) == ([68, 136, 204], 68)


def test_origins_forecast_no_further_than_the_horizon() -> None:
    times, window = origins(730, 30, CUTOFF)
    assert (ages(times), window) == ([30, 60, 90], 30)


def test_times_to_learn_from_have_whole_windows_before_the_cutoff_and_half_a_window_of_history() -> None:
    times, window = past_times(273, 273, CUTOFF)
    assert (ages(times), window) == ([178, 156, 134, 112, 90, 68], 68)
    assert past_times(20, 90, CUTOFF)[0] == []
    times, window = past_times(400, 90, CUTOFF)
    assert (ages(times), window) == ([240, 210, 180, 150, 120, 90], 90)


def test_every_contender_is_measured_on_the_same_customers_from_every_origin(done: Backtest) -> None:
    assert set(done.table["name"]) == {"clv_bgnbd", "clv_naive", *NAIVE}
    assert done.table.groupby("name")["origin"].nunique().tolist() == [3] * 6
    assert done.table.groupby("origin")["customers"].nunique().tolist() == [1, 1, 1]
    assert set(done.table.columns) >= METRICS
    assert np.isfinite(done.table[sorted(METRICS)].to_numpy()).all()


def test_champion_has_the_least_deviance_and_says_how_sure_it_is(done: Backtest) -> None:
    name, rival, found = done.champion()
    assert name == "clv_bgnbd"
    means = {each: losses.mean() for each, losses in done.losses.items()}
    assert rival == min((each for each in means if each != name), key=lambda each: means[each])
    assert found.value == pytest.approx(1 - means[name] / means[rival])
    assert found.low < found.value < found.high
    assert done.ranking.index[0] == min(means, key=lambda each: means[each])


def test_naive_forecasts_know_no_champion(done: Backtest) -> None:
    losses = done.losses | {"population_mean": np.zeros_like(done.losses["clv_naive"])}
    assert replace(done, losses=losses).champion()[0] == "clv_bgnbd"


@pytest.mark.slow
def test_the_hybrid_is_measured_on_the_rows_it_was_given(cdnow_sample: Profile, settings: TrainConfig) -> None:
    # its features are built apart from the histories: a customer's forecast must meet that customer's orders
    found = backtest(cdnow_sample, settings, CUTOFF, [FAMILIES["clv_hybrid"]], count=1, most_customers=2_000)
    deviance = found.table.set_index("name")["poisson_deviance_orders"]
    assert deviance["clv_hybrid"] < deviance["segment_mean"] < deviance["population_mean"]


def test_best_naive_forecast_is_named_and_compared_customer_by_customer(done: Backtest) -> None:
    name, found = done.best_naive("clv_bgnbd")
    means = {each: losses.mean() for each, losses in done.losses.items() if each != "clv_bgnbd"}
    assert name == min(means, key=lambda each: means[each])
    own, other = (np.bincount(done.customers, done.losses[each]) for each in ("clv_bgnbd", name))
    gain = other - own
    error = gain.std(ddof=1) / np.sqrt(len(gain))
    assert found.low == pytest.approx((gain.mean() - 1.6449 * error) / other.mean())
    assert len(gain) < len(done.losses[name])  # a customer at three origins is one


def test_calibration_adds_up_to_the_totals(done: Backtest) -> None:
    own = done.calibration[done.calibration["name"] == "clv_bgnbd"]
    table = done.table[done.table["name"] == "clv_bgnbd"]
    assert own["customers"].sum() == table["customers"].sum() == len(done.customers)
    assert own["frequency"].tolist() == sorted(own["frequency"])
    total = {side: (own["customers"] * own[side]).sum() for side in ("expected", "actual")}
    assert -0.3 < total["expected"] / total["actual"] - 1 < 0.3


def test_errors_of_the_total_are_logarithms_of_actual_over_expected(done: Backtest) -> None:
    biases = done.table.loc[done.table["name"] == "clv_bgnbd", "bias_total_value"]
    errors = done.total_errors("clv_bgnbd", done.window_days)
    assert np.exp(errors) == pytest.approx(1 / (1 + biases))
    assert done.total_errors("clv_bgnbd", 1) == errors
    assert done.total_errors("clv_bgnbd", 4 * done.window_days) == pytest.approx(2 * np.array(errors))
    assert log_error(1e12) == log_error(-1.0) == ()


def test_document_is_json_without_nan_and_says_who_won(done: Backtest) -> None:
    document = json.loads(json.dumps(done.document(), allow_nan=False))
    assert document["champion"] == "clv_bgnbd"
    assert document["beats_best_naive"] is (document["skill_over_best_naive"]["low"] > 0)
    first, *_ = document["table"]
    assert {"seconds", "megabytes", "coverage_50", "coverage_90", "correlation_orders", *METRICS} <= set(first)
    assert {row["coverage_90"] for row in document["table"] if row["name"] in NAIVE} == {None}
    assert [split["split"] for split in document["splits"]] == ["validation"] * 3


def test_a_part_of_the_customers_is_the_same_from_every_origin(
    cdnow_sample: Profile, settings: TrainConfig, done: Backtest
) -> None:
    part = backtest(cdnow_sample, settings, CUTOFF, [FAMILIES["clv_bgnbd"]], count=2, most_customers=500)
    assert len(part.origins) == 2
    assert part.table["customers"].between(400, 600).all()
    assert part.customers.max() + 1 == part.table["customers"].max()  # nobody new is drawn at an earlier origin


@pytest.mark.slow
def test_intervals_of_totals_hold_on_logs_with_a_calendar_shock(
    make_profile: Callable[..., Profile],
) -> None:
    held = {"widened": 0, "independent": 0}
    for seed in range(5):
        profile = make_profile(shocked_log(np.random.default_rng(seed)))
        settings = TrainConfig(horizon_days=60, annual_discount_rate=0.0, refit=False)
        result = fit("clv", profile, settings, "clv_bgnbd")[0]
        actual = result.prepared.splits["holdout"].outcome["order_value"].sum()
        errors = result.evaluated.contract.total_errors
        assert len(errors) == 4
        for name, known in (("widened", errors[:-1]), ("independent", (0.0,) * 1_000_000)):  # the last is of `actual`
            total = customer_equity([result.measured.scores], known)[0]
            held[name] += total.low_90 <= actual <= total.high_90
    # of five intervals that cover nine in ten, fewer than four hold in 8 % of all tries; these are fixed
    assert held["widened"] >= 4
    assert held["independent"] <= 2


def shocked_log(generator: np.random.Generator) -> pd.DataFrame:
    """300 days of 400 customers whose orders rise and fall together, by 25 % or so from one 60 days to the next."""
    level = np.repeat(np.exp(generator.normal(0, 0.25, 5)), 60)
    rates = generator.gamma(2, 1 / 40, 400)
    joined = generator.integers(0, 50, 400)
    placed = generator.random((400, 300)) < 1 - np.exp(-rates[:, None] * level)
    placed &= np.arange(300) >= joined[:, None]
    placed[np.arange(400), joined] = True
    who, when = np.nonzero(placed)
    start = pd.Timestamp("2023-01-01", tz="UTC")
    return pd.DataFrame(
        {
            "customer_id": [f"c{i:03}" for i in who],
            "order_id": [f"o{i}" for i in range(len(who))],
            "event_time": (start + pd.to_timedelta(when, unit="D")).astype("datetime64[us, UTC]"),
            "value": np.round(generator.gamma(4, 5, len(who)), 2),
        }
    )


def test_nothing_after_the_cutoff_changes_the_backtest(
    done: Backtest,
    settings: TrainConfig,
    make_profile: Callable[..., Profile],
    cdnow_sample: Profile,
) -> None:
    orders = cdnow_sample.backend.to_pyarrow(cdnow_sample.tables["orders"]).to_pandas()
    before = make_profile(orders[orders["event_time"] < pd.Timestamp(CUTOFF)])
    again = backtest(before, settings, CUTOFF, [FAMILIES["clv_bgnbd"]])
    np.testing.assert_array_equal(again.losses["clv_bgnbd"], done.losses["clv_bgnbd"])
    np.testing.assert_array_equal(again.losses["segment_mean"], done.losses["segment_mean"])


def test_too_short_a_history_is_refused(cdnow_sample: Profile, settings: TrainConfig) -> None:
    first = datetime(1997, 1, 1, tzinfo=UTC)
    with pytest.raises(NothingToTrain, match="too short"):
        backtest(cdnow_sample, settings, first + timedelta(days=1), [FAMILIES["clv_bgnbd"]])
