"""Bad input to lifetime value, through the command: a named error in one line, or an exclusion that adds up."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

import patron
from features.eligibility import ELIGIBLE
from features.profile import Profile
from serving.scorer import NO_VALUE
from training.config import TrainConfig
from training.fit import fit

AT = "2024-10-01"


@dataclass
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str


Command = Callable[..., Ran]


def command_in(home: Path, patch: pytest.MonkeyPatch, capsys: Any) -> Command:
    def run(*arguments: object) -> Ran:
        patch.setenv("PATRON_HOME", str(home))
        patch.setenv("COLUMNS", "300")
        patch.setattr(sys, "argv", ["patron", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            patron.main()
        captured = capsys.readouterr()
        return Ran(int(ended.value.code or 0), captured.out, captured.err)

    return run


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    return command_in(tmp_path / "home", monkeypatch, capsys)


@pytest.fixture
def refusal(run: Command) -> Callable[..., str]:
    """The one line in which `patron train clv` refuses."""

    def refused(profile: Path, *arguments: object) -> str:
        ran = run("train", "clv", profile, "--family", "clv_bgnbd", "--json", *arguments)
        assert (ran.code, ran.out) == (1, ""), ran.err
        lines = [line for line in ran.err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, ran.err
        assert "should not have happened" not in lines[0]
        return lines[0]

    return refused


@pytest.fixture
def shop(tmp_path: Path) -> Callable[..., Path]:
    """A folder of ten customers with an order a month over ten months; single rows or whole columns changed."""

    def make(*more: dict[str, Any], **columns: Any) -> Path:
        rows = [
            {"customer_id": f"c{i}", "order_id": f"o{i}-{month}", "value": 10.0 + i,
             "event_time": f"2024-{month:02d}-{i + 1:02d}T12:00:00Z", "category": "food" if i % 2 else "toys"}
            for i in range(10) for month in range(1, 11)
        ]  # fmt: skip
        folder = tmp_path / "shop"
        folder.mkdir()
        orders = pd.DataFrame([*rows, *more]).assign(**columns)
        orders.to_csv(folder / "orders.csv", index=False)
        pd.DataFrame({"customer_id": sorted(set(orders["customer_id"]))}).to_csv(folder / "customers.csv", index=False)
        return folder

    return make


def order(**changed: Any) -> dict[str, Any]:
    return {"customer_id": "c1", "order_id": "odd", "event_time": "2024-05-05T12:00:00Z", "value": 5.0} | changed


def test_a_negative_value_that_is_no_return_is_named(shop: Callable[..., Path], refusal: Callable[..., str]) -> None:
    said = refusal(shop(order(value=-5.0)))
    assert "orders.value: 1 of 101 rows has a negative value without is_return, e.g. order_id 'odd' has '-5.0'" in said


def test_orders_that_are_all_worth_nothing_are_named(shop: Callable[..., Path], refusal: Callable[..., str]) -> None:
    said = refusal(shop(value=0.0), "--horizon-days", 60)
    assert "no order to value: all orders have a value of 0 or none." in said


def test_mixed_currencies_are_named(shop: Callable[..., Path], refusal: Callable[..., str]) -> None:
    said = refusal(shop(currency=["EUR", "USD"] * 50))
    assert "orders.currency: mixed currencies, found 2 of them, 'EUR' and 'USD' among them" in said


def test_a_horizon_that_leaves_no_history_is_named(shop: Callable[..., Path], refusal: Callable[..., str]) -> None:
    assert "Allowed: a horizon up to 282 days." in refusal(shop(), "--horizon-days", 400)
    assert "setting 'horizon_days' is 0" in refusal(Path("nowhere"), "--horizon-days", 0)


@pytest.mark.parametrize("rate", ["-0.1", "-1e-9", ".nan", "11"])
def test_a_discount_rate_below_zero_is_named(rate: str, refusal: Callable[..., str]) -> None:
    said = refusal(Path("nowhere"), "--set", f"annual_discount_rate={rate}")
    assert "setting 'annual_discount_rate' is " in said


def test_margins_of_unknown_categories_are_named(shop: Callable[..., Path], refusal: Callable[..., str]) -> None:
    folder = shop()
    horizon = ("--horizon-days", 60)
    said = refusal(folder, *horizon, "--set", "margin_by_category={food: 0.2, toys: 0.3, wine: 0.4}")
    assert "setting 'margin_by_category' names 'wine'. Allowed: the categories of the orders: 'food', 'toys'." in said
    said = refusal(folder, *horizon, "--set", "margin_by_category.food=0.2")
    assert "setting 'margin_by_category' has no margin for 'toys'" in said
    said = refusal(folder, *horizon, "--set", "margin_by_category.food=-0.2")
    assert "setting 'margin_by_category.food' is -0.2. Allowed: more than 0." in said


def test_an_order_of_another_century_is_named(shop: Callable[..., Path], refusal: Callable[..., str]) -> None:
    said = refusal(shop(order(event_time="2924-05-05T12:00:00Z")))
    assert "orders.event_time: 1 of 101 rows has" in said
    assert "order_id 'odd' has '2924-05-05T12:00:00Z'" in said


# ---- what is left out adds up


@pytest.fixture(scope="module")
def troubled(simulated_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The simulated orders, and four customers without net value or with orders to come only."""
    folder = tmp_path_factory.mktemp("troubled")
    customers = pd.read_parquet(simulated_folder / "customers.parquet")[["customer_id"]]
    columns = ["customer_id", "order_id", "event_time", "value", "is_return"]
    orders = pd.read_parquet(simulated_folder / "orders.parquet")[columns].astype({"value": float})
    kept = orders[(orders["event_time"] < pd.Timestamp("2024-12-30", tz="UTC")) & ~orders["is_return"]]
    day = pd.Timestamp("2024-03-01", tz="UTC")
    odd = [
        ("gave all back", day, 20.0, False), ("gave all back", day + pd.Timedelta(days=3), -20.0, True),
        ("gave back more", day, 20.0, False), ("gave back more", day + pd.Timedelta(days=3), -90.0, True),
        ("paid nothing", day, 0.0, False),
        ("in the future", pd.Timestamp("2024-12-30T09:00", tz="UTC"), 20.0, False),
    ]  # fmt: skip
    more = pd.DataFrame([(name, f"x{i}", *rest) for i, (name, *rest) in enumerate(odd)], columns=columns)
    people = pd.DataFrame({"customer_id": [*customers["customer_id"], *dict.fromkeys(more["customer_id"])]})
    people.to_parquet(folder / "customers.parquet", index=False)
    whole = pd.concat([kept, more]).astype({"event_time": "datetime64[us, UTC]", "is_return": bool})
    whole.to_parquet(folder / "orders.parquet", index=False)
    return folder


def test_customers_without_net_value_and_orders_to_come_are_left_out_and_counted(
    troubled: Path, run: Command, tmp_path: Path
) -> None:
    trained = run("train", "clv", troubled, "--family", "clv_bgnbd", "--json", "--no-refit")
    assert trained.code == 0, trained.err
    assert run("promote", "clv", "--json").code == 0
    scored = run("score", troubled, "--at", AT, "-o", tmp_path / "scores", "--json")
    assert scored.code == 0, scored.err
    manifest = json.loads(scored.out)
    reasons = {
        row["customer_id"]: row["reason"] for row in pq.read_table(tmp_path / "scores/excluded.parquet").to_pylist()
    }
    named = ("gave all back", "gave back more", "paid nothing", "in the future")
    assert [reasons[name] for name in named] == [NO_VALUE] * 3 + [ELIGIBLE["ordered"].otherwise]
    assert manifest["excluded_by_reason"][NO_VALUE] == 3
    assert manifest["cohort"] == manifest["scored"] + manifest["excluded"]
    assert manifest["excluded"] == sum(manifest["excluded_by_reason"].values()) == len(reasons)
    assert sum(each["scored"] for each in manifest["population"].values()) == manifest["scored"]
    orders = pd.read_parquet(troubled / "orders.parquet")
    later = int((orders["event_time"] >= pd.Timestamp(AT, tz="UTC")).sum())
    assert manifest["orders"] == {
        "rows": len(orders), "used": len(orders) - later, "after_prediction_time": later, "known_later": 0,
    }  # fmt: skip
    assert pq.read_table(tmp_path / "scores/scores.parquet")["clv"].null_count == 0


def test_customers_who_all_ordered_once_are_worth_what_a_first_order_was(
    make_profile: Callable[..., Profile], make_orders: Callable[..., pd.DataFrame]
) -> None:
    times = pd.date_range("2024-01-01", periods=200, freq="36h", tz="UTC")
    orders = make_orders(*((f"c{i}", time.isoformat(), 20.0 + i % 7) for i, time in enumerate(times)))
    best = fit("clv", make_profile(orders), TrainConfig(horizon_days=60, refit=False))[0]
    assert any("no repeat buyer" in warning for warning in best.warnings)
    scores = best.evaluated.model.score(best.prepared.splits["holdout"].rows)
    assert scores["expected_order_value"].between(20, 26).all()
    assert (scores["clv"] > 0).all()


def test_a_horizon_longer_than_the_history_is_said(troubled: Path, run: Command) -> None:
    ran = run("train", "clv", troubled, "--family", "clv_bgnbd", "--json", "--no-refit", "--horizon-days", 500)
    assert ran.code == 0, ran.err
    said = [warning for warning in json.loads(ran.out)["warnings"] if "horizon of 500 days is longer" in warning]
    assert len(said) == 1
