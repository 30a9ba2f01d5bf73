import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.instants import read_instant
from features.profile import Profile
from training.config import TrainConfig
from training.errors import CutoffOutOfRange
from training.rows.splits import Split, held_out, resolve_cutoff, split_log, training_times, window_words

UTC_DAY = timedelta(days=1)


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.fixture(scope="module")
def year(make_profile: Callable[..., Profile], make_orders: Callable[..., pd.DataFrame]) -> Profile:
    """Facts from 2024-01-01 to the evening of 2024-12-30: known until 2024-12-31, 365 days."""
    return make_profile(make_orders(("c1", "2024-01-01T08:00:00Z", 5.0), ("c2", "2024-12-30T20:00:00Z", 5.0)))


def test_default_cutoff_leaves_one_whole_label_window_with_its_gap(year: Profile) -> None:
    assert resolve_cutoff(TrainConfig(horizon_days=90, gap_days=5), year) == day("2024-12-31") - 95 * UTC_DAY


def test_given_cutoff_is_taken_as_it_is(year: Profile) -> None:
    cutoff = day("2024-06-01")
    assert resolve_cutoff(TrainConfig(cutoff=cutoff, horizon_days=90), year) == cutoff


def test_latest_cutoff_is_allowed(year: Profile) -> None:
    cutoff = day("2024-12-31") - 90 * UTC_DAY
    assert resolve_cutoff(TrainConfig(cutoff=cutoff, horizon_days=90), year) == cutoff


def test_cutoff_too_late_says_what_would_do(year: Profile) -> None:
    with pytest.raises(CutoffOutOfRange) as refused:
        resolve_cutoff(TrainConfig(cutoff=day("2024-12-01"), horizon_days=90, gap_days=10), year)
    message = str(refused.value)
    assert "\n" not in message
    assert "cutoff 2024-12-01 + 100 days ends 2025-03-11, the last fact is known before 2024-12-31" in message
    assert "a cutoff up to 2024-09-22, or a horizon up to 20 days" in message


def test_no_horizon_is_offered_where_nothing_is_known_after_the_cutoff(year: Profile) -> None:
    with pytest.raises(CutoffOutOfRange, match=r"Allowed: a cutoff up to 2024-10-02\. Choose an earlier --cutoff\.$"):
        resolve_cutoff(TrainConfig(cutoff=day("2026-01-01")), year)


@pytest.mark.parametrize("cutoff", ["2023-06-01", "2024-01-01", "2024-01-02"])
def test_cutoff_without_history_before_it_is_refused(cutoff: str, year: Profile) -> None:
    allowed = r"no history before the cutoff: .* Allowed: a cutoff after 2024-01-02 and up to 2024-10-02\."
    with pytest.raises(CutoffOutOfRange, match=allowed):
        resolve_cutoff(TrainConfig(cutoff=day(cutoff)), year)


@pytest.mark.parametrize("cutoff", [None, "2023-06-01", "2024-01-02", "2024-01-03", "2024-06-01", "2026-01-01"])
@pytest.mark.parametrize(("horizon", "gap"), [(365, 0), (400, 0), (363, 2), (364, 5), (300, 90)])
def test_where_no_cutoff_can_work_the_horizon_that_is_named_does(
    cutoff: str | None, horizon: int, gap: int, year: Profile
) -> None:
    config = TrainConfig(cutoff=day(cutoff) if cutoff else None, horizon_days=horizon, gap_days=gap)
    with pytest.raises(CutoffOutOfRange, match="no cutoff leaves both") as refused:
        resolve_cutoff(config, year)
    assert "Allowed: a cutoff" not in str(refused.value)
    assert ("leave --cutoff out" in str(refused.value)) == bool(cutoff)
    longest = int(re.findall(r"Allowed: a horizon up to (\d+) days", str(refused.value))[0])
    followed = TrainConfig(horizon_days=longest, gap_days=gap)
    assert training_times(followed, year.known_from, resolve_cutoff(followed, year))
    longer = TrainConfig(horizon_days=longest + 1, gap_days=gap)
    with pytest.raises(CutoffOutOfRange):
        training_times(longer, year.known_from, resolve_cutoff(longer, year))


def test_where_no_horizon_can_work_the_history_that_would_is_named(year: Profile) -> None:
    with pytest.raises(CutoffOutOfRange, match=r"a gap of 300 days.* Allowed: 842 days of facts or more\. Give"):
        resolve_cutoff(TrainConfig(gap_days=300), year)


@pytest.mark.parametrize("gap", [0, 1, 2, 30])
def test_a_cutoff_named_instead_of_too_early_a_one_has_training_times(gap: int) -> None:
    config, start = TrainConfig(gap_days=gap), day("2024-01-01")
    with pytest.raises(CutoffOutOfRange) as refused:
        training_times(config, start, start + timedelta(hours=26))
    allowed = re.findall(r"Allowed: a cutoff from (\S+) on", str(refused.value))[0]
    assert training_times(config, start, read_instant(allowed))


def test_with_history_enough_the_last_label_window_ends_at_the_cutoff() -> None:
    times = training_times(TrainConfig(horizon_days=80, gap_days=10), day("2022-01-01"), day("2024-01-01"))
    assert times[-1] == day("2024-01-01") - 90 * UTC_DAY


def test_with_history_enough_times_lie_a_quarter_of_the_horizon_apart() -> None:
    times = training_times(TrainConfig(horizon_days=80, prediction_times=3), day("2022-01-01"), day("2024-01-01"))
    latest = day("2024-01-01") - 80 * UTC_DAY
    assert times == [latest - 40 * UTC_DAY, latest - 20 * UTC_DAY, latest]


def test_short_horizons_are_at_least_a_week_apart() -> None:
    times = training_times(TrainConfig(horizon_days=4, prediction_times=3), day("2022-01-01"), day("2024-01-01"))
    assert [(after - before).days for before, after in pairwise(times)] == [7, 7]


def test_cdnow_windows_are_cut_short_by_the_cutoff() -> None:
    times = training_times(TrainConfig(horizon_days=273), day("1997-01-01"), day("1997-10-01"))
    assert times == [day("1997-04-02"), day("1997-05-10"), day("1997-06-17"), day("1997-07-25")]


def test_cdnow_without_cutoff_has_whole_windows_after_a_refit() -> None:
    times = training_times(TrainConfig(horizon_days=273), day("1997-01-01"), day("1998-07-01"))
    assert times[-1] == day("1997-10-01")
    assert all(time + 273 * UTC_DAY <= day("1998-07-01") for time in times)


def test_gap_that_leaves_no_label_window_before_the_cutoff_is_refused() -> None:
    config = TrainConfig(horizon_days=90, gap_days=60)
    with pytest.raises(CutoffOutOfRange) as refused:
        training_times(config, day("2024-01-01"), day("2024-03-31"))
    message = str(refused.value)
    assert "90 days of history before 2024-03-31, a gap of 60 days. Allowed: a cutoff from 2024-04-01T12:00" in message
    assert "or a gap up to 59 days" in message


def test_longest_allowed_gap_leaves_one_day_of_a_label_window() -> None:
    times = training_times(TrainConfig(horizon_days=90, gap_days=59), day("2024-01-01"), day("2024-03-31"))
    assert times == [day("2024-01-31")]


def test_one_prediction_time_is_the_latest_whole_window() -> None:
    times = training_times(TrainConfig(horizon_days=90, prediction_times=1), day("2022-01-01"), day("2024-01-01"))
    assert times == [day("2024-01-01") - 90 * UTC_DAY]


@settings(max_examples=50, deadline=None)
@given(
    history=st.integers(3, 2000),
    horizon=st.integers(1, 800),
    gap=st.integers(0, 30),
    count=st.integers(1, 24),
    hour=st.integers(0, 23),
)
def test_every_training_time_leaves_something_of_its_label_window_before_the_cutoff(
    history: int, horizon: int, gap: int, count: int, hour: int
) -> None:
    known_from = day("2020-01-01")
    cutoff = known_from + timedelta(days=history, hours=hour)
    config = TrainConfig(horizon_days=horizon, gap_days=gap, prediction_times=count)
    if (cutoff - known_from) * 2 / 3 < (gap + 1) * UTC_DAY:
        with pytest.raises(CutoffOutOfRange, match="no label window begins before the cutoff"):
            training_times(config, known_from, cutoff)
        return
    times = training_times(config, known_from, cutoff)
    assert 1 <= len(times) <= count
    assert times == sorted(set(times))
    for time in times:
        assert known_from < time
        assert time + (gap + 1) * UTC_DAY <= cutoff
        assert (cutoff - time) % UTC_DAY == timedelta(0)


@settings(max_examples=50, deadline=None)
@given(horizon=st.integers(1, 400), gap=st.integers(0, 60), surplus=st.integers(0, 1000), count=st.integers(1, 24))
def test_every_label_window_is_whole_when_the_history_suffices(
    horizon: int, gap: int, surplus: int, count: int
) -> None:
    known_from = day("2020-01-01")
    cutoff = known_from + timedelta(days=horizon + gap + max(horizon // 2 + 1, 30) + surplus)
    config = TrainConfig(horizon_days=horizon, gap_days=gap, prediction_times=count)
    times = training_times(config, known_from, cutoff)
    assert all(time + timedelta(days=gap + horizon) <= cutoff for time in times)


IDS = [f"customer-{i}" for i in range(5_000)]


def test_held_out_share_is_as_asked_within_four_standard_errors() -> None:
    out = held_out(IDS, 0.2, random_state=0)
    assert abs(out.mean() - 0.2) < 4 * np.sqrt(0.2 * 0.8 / len(IDS))


def test_customer_is_held_out_or_not_whatever_the_other_rows_are() -> None:
    whole = dict(zip(IDS, held_out(IDS, 0.3, random_state=1), strict=True))
    some = IDS[100:40:-7]
    assert held_out(some, 0.3, random_state=1).tolist() == [whole[customer] for customer in some]


def test_all_rows_of_a_customer_are_on_one_side() -> None:
    out = held_out([*IDS, *IDS], 0.5, random_state=2)
    np.testing.assert_array_equal(out[: len(IDS)], out[len(IDS) :])


def test_larger_share_holds_out_the_same_customers_and_more() -> None:
    fewer, more = (held_out(IDS, share, random_state=3) for share in (0.2, 0.4))
    assert more[fewer].all()


def test_another_random_state_holds_out_others_independently() -> None:
    first, second = (held_out(IDS, 0.5, random_state=state) for state in (0, 1))
    assert abs((first & second).mean() - 0.25) < 4 * np.sqrt(0.25 * 0.75 / len(IDS))


def test_held_out_customers_do_not_change_from_release_to_release() -> None:
    # the first four bytes of BLAKE2b of "0:a", "0:b" and "0:c" are 0.273, 0.752 and 0.213 of 2**32
    expected = {0.21: [False] * 3, 0.25: [False, False, True], 0.3: [True, False, True], 0.8: [True] * 3}
    assert {share: held_out(["a", "b", "c"], share, 0).tolist() for share in expected} == expected


@pytest.fixture
def split() -> Split:
    keys = pd.DataFrame(
        {
            "customer_id": ["c1", "c2", "c1"],
            "prediction_time": pd.to_datetime(
                ["2024-02-01", "2024-02-01", "2024-01-01T06:00"], format="ISO8601", utc=True
            ),
        }
    )
    rows = pd.DataFrame({"frequency": [0.0, 1.0, 2.0]})
    return Split("train", keys, rows, rows.rename(columns={"frequency": "churned"}), "[2024-02-01, 2024-03-01)")


def test_split_log_has_times_window_and_sizes(split: Split) -> None:
    assert split_log({"train": split}) == [
        {
            "split": "train",
            "prediction_times": ["2024-01-01T06:00:00Z", "2024-02-01"],
            "label_window": "[2024-02-01, 2024-03-01)",
            "rows": 3,
            "customers": 2,
        }
    ]


def test_part_of_a_split_keeps_keys_rows_and_outcomes_together(split: Split) -> None:
    part = split.where(np.array([False, True, True]))
    assert part.keys["customer_id"].tolist() == ["c2", "c1"]
    assert part.rows["frequency"].tolist() == part.outcome["churned"].tolist() == [1.0, 2.0]
    assert part.rows.index.tolist() == [0, 1]


def test_window_is_half_open_in_words() -> None:
    assert window_words(day("2024-02-01"), 29) == "[2024-02-01, 2024-03-01)"


def test_window_that_the_cutoff_cuts_says_so() -> None:
    words = window_words(day("2024-02-01"), 60, day("2024-03-01"))
    assert words == "[2024-02-01, 2024-03-01) (cut short by the cutoff)"
