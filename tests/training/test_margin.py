from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from features.profile import Profile, open_profile
from training.errors import ConfigInvalid
from training.margin import observed_margin

UNTIL = datetime(2024, 2, 1, tzinfo=UTC)


def shop(folder: Path, *orders: tuple[str, float, float | None]) -> Profile:
    """Orders of a day, value and margin; without a margin column where none is given."""
    days, values, margins = zip(*orders, strict=True)
    frame = pd.DataFrame(
        {
            "customer_id": "c1",
            "order_id": [f"o{i}" for i in range(len(orders))],
            "event_time": [f"{day}T12:00:00+00:00" for day in days],
            "value": values,
            "margin_value": margins,
            "is_return": [value < 0 for value in values],
        }
    )
    frame = frame if frame["margin_value"].notna().any() else frame.drop(columns="margin_value")
    pd.DataFrame({"customer_id": ["c1"]}).to_csv(folder / "customers.csv", index=False)
    frame.to_csv(folder / "orders.csv", index=False)
    return open_profile(folder)


def test_margin_is_that_of_orders_before_the_cutoff_less_returns(tmp_path: Path) -> None:
    # 40 + 10 - 8 of margin on 100 + 50 - 20 of value; the order without a margin and the later one do not count.
    profile = shop(
        tmp_path,
        ("2024-01-01", 100, 40),
        ("2024-01-05", 50, 10),
        ("2024-01-09", -20, -8),
        ("2024-01-10", 500, None),
        ("2024-02-01", 100, 90),
    )
    assert observed_margin(profile, UNTIL) == pytest.approx(42 / 130)


def test_profile_without_margins_is_told_so(tmp_path: Path) -> None:
    profile = shop(tmp_path, ("2024-01-01", 100, None))
    with pytest.raises(ConfigInvalid, match="orders have no margin_value"):
        observed_margin(profile, UNTIL)


@pytest.mark.parametrize(("margin", "words"), [(-5.0, "-5.00 of margin on 100.00"), (120.0, "120.00 of margin")])
def test_margin_that_is_no_share_of_value_is_refused_with_its_figures(
    margin: float, words: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigInvalid, match=words):
        observed_margin(shop(tmp_path, ("2024-01-01", 100, margin)), UNTIL)
