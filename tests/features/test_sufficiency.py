from collections.abc import Callable

import pandas as pd
import pytest

from features.errors import PatronError
from features.profile import Profile
from features.usability.sufficiency import (
    DEFAULT_HORIZON_DAYS,
    LEAST_CHURN_ROWS,
    LEAST_HISTORY_DAYS,
    LEAST_RARE,
    LEAST_REPEAT_BUYERS,
    LEAST_ROWS,
    LEAST_SEGMENT_CUSTOMERS,
    Need,
    Sufficiency,
    count_cohorts,
    judge_sufficiency,
    whole_windows,
)

Make = Callable[..., Profile]
Orders = Callable[..., pd.DataFrame]
START = pd.Timestamp("2023-01-01", tz="UTC")


def on(day: int) -> str:
    return (START + pd.Timedelta(days=day)).isoformat()


def task(name: str, judged: list[Sufficiency]) -> Sufficiency:
    return next(one for one in judged if one.task == name)


def needs(name: str, profile: Profile, horizon: int = 90) -> dict[str, Need]:
    return {need.what: need for need in task(name, judge_sufficiency(profile, horizon)).needs}


def test_the_numbers_are_those_that_training_demands(make_orders: Orders, make_profile: Make) -> None:
    import training.evaluation.grade
    from models.churn.target import MINIMUM_ROWS
    from models.clv.errors import NoRepeatOrders
    from models.clv.orders.bgnbd import Histories, fit_bgnbd
    from models.segments.rfm import LEAST_CUSTOMERS
    from training.config import TrainConfig
    from training.rows.splits import training_times

    assert TrainConfig().horizon_days == DEFAULT_HORIZON_DAYS
    assert (training.evaluation.grade.LEAST_ROWS, training.evaluation.grade.LEAST_RARE) == (LEAST_ROWS, LEAST_RARE)
    assert MINIMUM_ROWS == LEAST_CHURN_ROWS
    assert LEAST_CUSTOMERS == LEAST_SEGMENT_CUSTOMERS

    once = pd.DataFrame({"frequency": [0.0], "recency_days": [0.0], "T_days": [9.0], "monetary_value": [0.0]})
    with pytest.raises(NoRepeatOrders):
        fit_bgnbd(Histories.of(once))
    fit_bgnbd(Histories.of(once.assign(frequency=float(LEAST_REPEAT_BUYERS), recency_days=3.0)))

    for horizon in (30, 90, 365):
        config = TrainConfig(horizon_days=horizon)
        for short, whole in ((1, False), (0, True)):
            cutoff = START + pd.Timedelta(days=whole_windows(horizon) - short - horizon)
            last = max(training_times(config, START.to_pydatetime(), cutoff.to_pydatetime()))
            assert (last + pd.Timedelta(days=horizon) <= cutoff) == whole
    assert whole_windows(30) - 60 == LEAST_HISTORY_DAYS


@pytest.mark.parametrize("horizon", [30, 90, 180])
def test_customers_and_their_outcome_are_those_of_the_training_holdout(simulated: Profile, horizon: int) -> None:
    from features.catalogue import CHURN
    from training.churn import ChurnJob
    from training.config import TrainConfig
    from training.rows.splits import resolve_cutoff

    config = TrainConfig(horizon_days=horizon)
    holdout = ChurnJob().holdout(config, simulated, CHURN, resolve_cutoff(config, simulated))
    cohort = count_cohorts(simulated, {horizon})[horizon]
    assert cohort.customers == len(holdout.rows)
    assert cohort.churned == int(holdout.outcome["churned"].sum())
    assert cohort.repeat_buyers == int((holdout.outcome["frequency"] > 0).sum())


def few(make_orders: Orders, make_profile: Make) -> Profile:
    """100 days: four customers, one of them back on day 50, one on day 99, none of the others."""
    rows = [("a", on(0), 5.0), ("b", on(0), 5.0), ("c", on(10), 5.0), ("d", on(20), 5.0), ("a", on(50), 5.0)]
    return make_profile(make_orders(*rows, ("b", on(99), 5.0)))


def test_counts_of_a_small_profile_by_hand(make_orders: Orders, make_profile: Make) -> None:
    judged = judge_sufficiency(few(make_orders, make_profile), 30)
    assert task("churn", judged).found == {"history_days": 100, "customers": 4, "churned": 3, "active": 1}
    assert task("clv", judged).found == {"history_days": 100, "customers": 4, "repeat_buyers": 1, "ordered_again": 1}
    assert [one.verdict for one in judged] == ["not enough", "thin", "not enough"]


def test_what_is_short_says_how_much_more(make_orders: Orders, make_profile: Make) -> None:
    found = needs("churn", few(make_orders, make_profile), 30)
    customers = found["customers with an order before the cutoff"]
    assert (customers.found, customers.needed, customers.more, customers.blocks) == (4, 20, 16, True)
    # 4 customers came in the 70 days before the cutoff: 16 more take 16 * 70 / 4 = 280 days
    assert customers.remedy == "Add 16 more customers with an order (about 280 days at the pace so far)."
    back = found["customers who ordered in the horizon"]
    assert (back.found, back.more, back.blocks) == (1, 99, False)
    # a quarter of the customers come back: 99 more of them are 396 customers, 6,930 days
    assert "396 more customers with an order (about 6,930 days" in back.remedy


def test_too_short_a_history_names_the_days_and_the_horizon_that_fits(make_orders: Orders, make_profile: Make) -> None:
    profile = few(make_orders, make_profile)
    (days,) = [need for what, need in needs("segments", profile, 99).items() if what.startswith("days")]
    assert (days.found, days.needed, days.more, days.blocks) == (100, 101, 1, True)
    assert days.remedy == "Add 1 days of history, or shorten the horizon to 98 days."
    whole = next(need for what, need in needs("churn", profile, 60).items() if "whole label windows" in what)
    assert (whole.needed, whole.more, whole.blocks) == (150, 50, False)
    assert "shorten the horizon to 35 days" in whole.remedy
    assert whole_windows(35) <= 100 < whole_windows(36)


def test_the_horizon_named_as_long_enough_is_one_that_training_takes(make_orders: Orders, make_profile: Make) -> None:
    from training.config import TrainConfig
    from training.errors import CutoffOutOfRange
    from training.rows.splits import resolve_cutoff

    profile = few(make_orders, make_profile)
    assert resolve_cutoff(TrainConfig(horizon_days=98), profile) == START + pd.Timedelta(days=2)
    with pytest.raises(CutoffOutOfRange):
        resolve_cutoff(TrainConfig(horizon_days=99), profile)


def test_another_horizon_is_proposed_where_it_has_evidence(make_orders: Orders, make_profile: Make) -> None:
    """600 customers order on days 0 and 340 + (i mod 60), of 400: in the last 7 days 7/60 of them."""
    first = [(f"c{i}", on(0), 5.0) for i in range(600)]
    profile = make_profile(make_orders(*first, *((f"c{i}", on(340 + i % 60), 5.0) for i in range(600))))
    (short,) = task("churn", judge_sufficiency(profile, 7)).needs
    assert (short.what, short.found) == ("customers who ordered in the horizon", 70)
    assert short.remedy.endswith("; or widen the horizon to 14 days (140 who ordered, 460 who did not).")
    (none,) = task("churn", judge_sufficiency(profile, 60)).needs
    assert (none.what, none.found, none.blocks) == ("customers who did not order in the horizon", 0, True)
    assert none.remedy.endswith("; or shorten the horizon to 30 days (300 who ordered, 300 who did not).")


def test_nobody_who_came_back_is_not_enough_for_lifetime_value(make_orders: Orders, make_profile: Make) -> None:
    profile = make_profile(make_orders(*((f"c{i}", on(i), 5.0) for i in range(40))))
    repeat = needs("clv", profile, 10)["customers with orders on two days before the cutoff"]
    assert (repeat.found, repeat.more, repeat.blocks) == (0, 1, False)


def test_returns_and_late_rows_are_no_orders(make_orders: Orders, make_profile: Make) -> None:
    rows = make_orders(("a", on(0), 5.0), ("a", on(95), -5.0), ("b", on(1), 5.0), ("a", on(99), 5.0))
    late = pd.Series([START, START, START + pd.Timedelta(days=400), START + pd.Timedelta(days=99)])
    profile = make_profile(rows.assign(is_return=[False, True, False, False], ingested_at=late))
    cohort = count_cohorts(profile, {10})[10]
    assert (cohort.customers, cohort.active, cohort.repeat_buyers) == (1, 1, 0)


def test_a_profile_without_orders_has_enough_for_nothing(make_profile: Make) -> None:
    events = pd.DataFrame({"customer_id": ["a"], "event_time": [START], "kind": ["session"]})
    from features.profile import profile_from_tables

    profile = profile_from_tables({"customers": pd.DataFrame({"customer_id": ["a"]}), "events": events})
    judged = judge_sufficiency(profile)
    assert {one.verdict for one in judged} == {"not enough"}
    assert all(finding.severity == "warning" for one in judged for finding in one.findings())


def test_enough_means_that_training_needs_no_more(simulated: Profile) -> None:
    judged = judge_sufficiency(simulated)
    assert [one.verdict for one in judged] == ["enough"] * 3
    assert not [finding for one in judged for finding in one.findings()]


@pytest.mark.parametrize("name", ["churn", "segments"])
def test_training_refuses_what_is_judged_not_enough(name: str, make_orders: Orders, make_profile: Make) -> None:
    from training.config import TrainConfig
    from training.fit import fit

    rows = [(f"c{i}", on(i), 5.0) for i in range(4)]
    profile = make_profile(make_orders(*rows, ("c0", on(99), 5.0)))
    assert task(name, judge_sufficiency(profile, 30)).verdict == "not enough"
    with pytest.raises(PatronError):
        fit(name, profile, TrainConfig(horizon_days=30))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("running", "ended", "verdict", "short"),
    [(100, 100, "enough", []), (100, 99, "thin", ["ended"]), (5, 0, "thin", ["running", "ended"]),
     (0, 100, "not enough", ["running"])],
)  # fmt: skip
def test_subscriptions_without_orders_are_enough_for_lifetime_value_alone(
    running: int, ended: int, verdict: str, short: list[str]
) -> None:
    from features.profile import profile_from_tables

    ids = [f"c{i}" for i in range(running + ended)] + ["new"]
    begun = [START] * (running + ended) + [START + pd.Timedelta(days=199)]
    ends = [pd.NaT] * running + [START + pd.Timedelta(days=50)] * ended + [pd.NaT]
    terms = pd.DataFrame({"customer_id": ids, "subscription_id": ids, "started_at": begun, "monthly_value": 5.0})
    terms["ended_at"] = pd.Series(ends, dtype="datetime64[us, UTC]")
    profile = profile_from_tables({"customers": pd.DataFrame({"customer_id": ids}), "subscriptions": terms})
    judged = judge_sufficiency(profile)
    found = task("clv", judged)
    assert found.verdict == verdict
    assert found.found == {"history_days": 200, "running": running, "ended": ended}
    assert [word for need in found.needs for word in ("running", "ended") if f" {word} " in need.what] == short
    assert all(finding.table == "subscriptions" for finding in found.findings())
    assert task("churn", judged).verdict == "not enough"
