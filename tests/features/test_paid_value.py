"""What subscriptions have paid, period by period."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pandas as pd
import pytest

from features.engine.builder import build_features
from features.profile import Profile, open_profile, profile_from_tables
from features.spec import Feature, FeatureSet
from features.subscriptions import MONTH_DAYS, paid_value

AT = datetime(2024, 7, 1, tzinfo=UTC)


def paid(
    *terms: tuple[str, str, str | None, float | None],
    period_days: float = MONTH_DAYS,
    plans: Sequence[str | None] | None = None,
    of_plan: Mapping[str, float] | None = None,
) -> dict[str, float | None]:
    times = (pd.Series([term[1] for term in terms]), pd.Series([term[2] for term in terms], dtype=object))
    begun, ended = (pd.to_datetime(each, utc=True).astype("datetime64[us, UTC]") for each in times)
    frame = pd.DataFrame(
        {
            "customer_id": [term[0] for term in terms],
            "subscription_id": [f"s{i}" for i in range(len(terms))],
            "started_at": begun,
            "ended_at": ended,
            "monthly_value": pd.array([term[3] for term in terms], "Float64"),
            "plan": pd.array(plans or [None] * len(terms), "string"),
        }
    )
    people = pd.DataFrame({"customer_id": sorted({*frame["customer_id"], "none"})})
    profile = profile_from_tables({"customers": people, "subscriptions": frame})
    table = build_features(profile, FeatureSet("paid", 1, (paid_value(period_days, of_plan),)), [AT])
    return dict(
        zip(*(table.column(name).to_pylist() for name in ("customer_id", "subscription_paid_value")), strict=True)
    )


def test_every_period_that_was_begun_is_paid() -> None:
    # From January to June: six months of it; one that ended with its second month; one day; one that begins later.
    found = paid(
        ("running", "2024-01-01", None, 10.0),
        ("left", "2024-01-01", "2024-03-01", 10.0),
        ("tried", "2024-06-30", None, 7.5),
        ("later", "2024-07-02", None, 10.0),
    )
    assert found == {"running": 60.0, "left": 20.0, "tried": 7.5, "later": None, "none": None}


def test_a_year_is_paid_at_its_begin() -> None:
    found = paid(("new", "2024-06-01", None, 10.0), ("old", "2023-06-01", None, 10.0), period_days=12 * MONTH_DAYS)
    assert found == {"new": 120.0, "old": 240.0, "none": None}


def test_every_plan_is_paid_at_its_own_periods() -> None:
    # Six months of the one; a year of the other at its begin; a plan that is not named, or none, is paid monthly.
    found = paid(
        ("monthly", "2024-01-01", None, 10.0),
        ("yearly", "2024-01-01", None, 10.0),
        ("both", "2024-01-01", None, 10.0), ("both", "2024-01-01", None, 1.0),
        ("unnamed", "2024-01-01", None, 10.0),
        ("priceless", "2024-01-01", None, None),
        plans=["basic", "year", "basic", "year", None, "year"],
        of_plan={"year": 12 * MONTH_DAYS},
    )  # fmt: skip
    assert found == {
        "monthly": 60.0, "yearly": 120.0, "both": 72.0, "unnamed": 60.0, "priceless": None, "none": None,
    }  # fmt: skip


def test_subscriptions_add_up_and_one_without_a_price_is_left_out() -> None:
    found = paid(
        ("c", "2024-01-01", "2024-02-01", 10.0), ("c", "2024-05-01", None, 20.0), ("c", "2024-01-01", None, None)
    )
    assert found["c"] == pytest.approx(10.0 + 2 * 20.0)


def test_an_end_that_lies_ahead_is_not_known_yet() -> None:
    assert paid(("c", "2024-06-01", "2024-09-01", 10.0))["c"] == 10.0


@pytest.mark.exhaustive
def test_spark_sums_the_same(small_simulated: Profile, on_spark: Callable[..., str]) -> None:
    tables = {name: table.to_pyarrow() for name, table in small_simulated.tables.items()}
    wanted = FeatureSet("paid", 1, (paid_value(MONTH_DAYS, {"plus": 365.25}), paid_value_of_a_week()))
    found = [
        build_features(profile, wanted, [AT]).sort_by("customer_id")
        for profile in (profile_from_tables(tables), open_profile(on_spark(tables)))
    ]
    assert found[0].equals(found[1])
    assert found[0].column("subscription_paid_value").null_count < found[0].num_rows


def paid_value_of_a_week() -> Feature:
    return replace(paid_value(7.0), name="weekly")
