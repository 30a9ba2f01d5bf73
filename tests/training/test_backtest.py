from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from features.profile import Profile
from models.families import FAMILIES
from training.backtest import Backtest, backtest, origins
from training.clv import past_times
from training.config import TrainConfig
from training.errors import NothingToTrain
from training.naive import NAIVE

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
    assert Backtest(done.table, losses).champion()[0] == "clv_bgnbd"


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
