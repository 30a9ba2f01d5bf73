"""Input from which no model can be made: each refused by name in one line, nothing registered, the champion stays."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.errors import ContractBroken, EventUnreadable, FlatTableUnusable, PatronError
from features.flat import FlatTable, open_flat
from features.profile import Profile
from models.errors import OneClassOnly
from training.config import TrainConfig
from training.errors import (
    ColumnUnusable,
    ConfigInvalid,
    CutoffOutOfRange,
    EventUnknown,
    LabelUnusable,
    LeakageSuspected,
    NothingToTrain,
    OutcomeTooRare,
)
from training.job import train
from training.promote import promote

CONFIG = TrainConfig(label="left", id_column="id")
ROWS = 2_000


def good(rows: int = ROWS) -> pd.DataFrame:
    """A table from which something can be learned."""
    generator = np.random.default_rng(3)
    months = generator.integers(1, 60, rows)
    calls = generator.poisson(2, rows)
    left = generator.random(rows) < 1 / (1 + np.exp(months / 10 - calls))
    return pd.DataFrame(
        {
            "id": [f"k{i:05d}" for i in generator.permutation(rows)],
            "months": months,
            "calls": calls,
            "plan": generator.choice(["basic", "plus"], rows),
            "left": np.where(left, "yes", "no"),
        }
    )


def one_class(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(left="no")


def ten_positives(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(left=["yes"] * 10 + ["no"] * (len(table) - 10))


def three_values(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(left=["maybe"] * 30 + table["left"].tolist()[30:])


def two_odd_values(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(left=table["left"].map({"yes": "red", "no": "blue"}))


def all_missing(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(remark="")


def many_levels(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(street=[f"street {i % 1_200}" for i in range(len(table))])


def target_among_features(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(status=table["left"].map({"yes": "closed", "no": "open"}))


def no_label(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(left="")


def no_rows(table: pd.DataFrame) -> pd.DataFrame:
    return table.head(0)


REFUSED: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], type[PatronError], str]] = {
    "one class": (one_class, OneClassOnly, "0% of 2,000 training rows have"),
    "ten positives": (ten_positives, OutcomeTooRare, "10 of 2,000 customers have 'left = yes'"),
    "label with three values": (three_values, LabelUnusable, "it has 3 values ('maybe', 'no', 'yes')"),
    "label that is neither yes nor no": (two_odd_values, LabelUnusable, "it has 2 values ('blue', 'red')"),
    "all-missing column": (all_missing, ColumnUnusable, "column 'remark' cannot be learned from: no value in any"),
    "many levels": (many_levels, ColumnUnusable, "1,200 different texts in 2,000 rows"),
    "target in the features": (target_among_features, LeakageSuspected, "'status'"),
    "no label at all": (no_label, NothingToTrain, "none of 2,000 customers has a value in 'left'"),
    "zero usable rows": (no_rows, NothingToTrain, "none of 0 customers"),
}


@pytest.fixture
def table_of(tmp_path: Path) -> Callable[[pd.DataFrame], FlatTable]:
    def write(frame: pd.DataFrame) -> FlatTable:
        frame.to_csv(tmp_path / "table.csv", index=False)
        return open_flat(str(tmp_path / "table.csv"), "id", "left")

    return write


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory, make_store: Callable[[Path], Any]) -> Any:
    """A store whose champion learned from a good table."""
    folder = tmp_path_factory.mktemp("champion")
    store = make_store(folder)
    good().to_csv(folder / "good.csv", index=False)
    trained = train("churn", open_flat(str(folder / "good.csv"), "id", "left"), CONFIG, store.tracker, "churn_logistic")
    assert promote("churn", store.uri, trained[0].tracked.model_version).promoted
    return store


def assert_untouched(store: Any) -> None:
    """One version, and it is the champion."""
    assert [str(v.version) for v in store.client.search_model_versions("name = 'churn'")] == ["1"]
    assert store.client.get_registered_model("churn").aliases == {"champion": 1}
    experiment = store.client.get_experiment_by_name("churn")
    assert len(store.client.search_runs([experiment.experiment_id])) == 1


@pytest.mark.parametrize("case", REFUSED)
def test_a_flat_table_that_teaches_nothing_is_refused_by_name_and_the_champion_stays(
    case: str, table_of: Callable[[pd.DataFrame], FlatTable], champion: Any
) -> None:
    spoil, error, words = REFUSED[case]
    with pytest.raises(error) as refused:
        train("churn", table_of(spoil(good())), CONFIG, champion.tracker)
    message = str(refused.value)
    assert words in message
    assert "\n" not in message
    assert "Allowed" in message or "allowed" in message
    assert_untouched(champion)


def test_a_column_of_ten_thousand_levels_is_refused_by_name(table_of: Callable[[pd.DataFrame], FlatTable]) -> None:
    table = good(20_000).assign(street=[f"street {i % 10_000}" for i in range(20_000)])
    with pytest.raises(ColumnUnusable, match=r"column 'street' .* 10,000 different texts in 20,000 rows"):
        train("churn", table_of(table), CONFIG, object())  # type: ignore[arg-type]


@pytest.mark.parametrize("case", ["all-missing column", "many levels", "target in the features"])
def test_what_the_refusal_advises_works(
    case: str, table_of: Callable[[pd.DataFrame], FlatTable], champion: Any, empty_store: Any
) -> None:
    spoil, _, _ = REFUSED[case]
    table = table_of(spoil(good()))
    (extra,) = set(table.columns) - {"months", "calls", "plan"}
    config = CONFIG.model_copy(update={"leave_out": (extra,)})
    result = train("churn", table, config, empty_store.tracker, "churn_logistic")[0].result
    assert result.evaluated.model.columns_ == ("months", "calls", "plan")
    assert_untouched(champion)


def test_a_label_that_is_not_there_is_refused(table_of: Callable[[pd.DataFrame], FlatTable]) -> None:
    with pytest.raises(LabelUnusable, match=r"label 'gone' cannot be learned: the labels are left"):
        train("churn", table_of(good()), CONFIG.model_copy(update={"label": "gone"}), object())  # type: ignore[arg-type]
    with pytest.raises(FlatTableUnusable, match="there is no column 'gone'"):
        open_flat(table_of(good()).source, "id", "gone")


@pytest.fixture
def shop(make_profile: Callable[..., Profile], make_orders: Callable[..., pd.DataFrame]) -> Callable[..., Profile]:
    """A shop of 200 customers, one order a month each; some leave on a day."""

    def make(leaving: int = 0, day: str = "2024-04-15") -> Profile:
        months = pd.date_range("2024-01-01", "2024-12-31", freq="30D")
        visits = [(number, when + pd.Timedelta(days=number % 28)) for number in range(200) for when in months]
        kept = [(number, when) for number, when in visits if number >= leaving or when < pd.Timestamp(day)]
        return make_profile(make_orders(*((f"c{n:03d}", f"{when:%Y-%m-%d}T10:00:00Z", 10.0) for n, when in kept)))

    return make


def asked(cutoff: tuple[int, int, int] = (2024, 9, 1), **changed: Any) -> TrainConfig:
    return TrainConfig(cutoff=datetime(*cutoff, tzinfo=UTC), horizon_days=60, refit=False, **changed)


DATED: dict[str, tuple[int, TrainConfig, type[PatronError], str]] = {
    "one class": (0, asked(), OneClassOnly, "0% of"),
    "ten who left": (10, asked(), OutcomeTooRare, "10 of 200 customers have 'no order in 60 days'"),
    "label window after the data": (80, asked((2024, 12, 1)), CutoffOutOfRange, "is not over yet"),
    "cutoff before the data": (80, asked((2023, 6, 1)), CutoffOutOfRange, "there is no history before the cutoff"),
    "everything left out": (
        80,
        asked(event="orders", eligible="former"),
        NothingToTrain,
        "no customer had been silent for 6 rhythms",
    ),
    "event without a table": (80, asked(event="kind = 'x'"), PatronError, "'events'"),
    "event that is none": (80, asked(event="orders: value + 1"), EventUnreadable, "not true or false"),
    "event that never happens": (80, asked(event="orders: value < 0"), EventUnknown, "no row of 'orders'"),
    "no event": (80, asked(event=""), ConfigInvalid, "an event to predict"),
}


@pytest.mark.parametrize("case", DATED)
def test_a_profile_that_teaches_nothing_is_refused_by_name_and_the_champion_stays(
    case: str, shop: Callable[..., Profile], champion: Any
) -> None:
    leaving, config, error, words = DATED[case]
    task: Any = "propensity" if "event" in case or config.event else "churn"
    with pytest.raises(error) as refused:
        train(task, shop(leaving), config, champion.tracker)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
    assert_untouched(champion)


def test_a_subscription_that_ends_before_it_begins_is_refused(make_profile: Callable[..., Profile]) -> None:
    began, ended = pd.Timestamp("2024-03-01", tz="UTC"), pd.Timestamp("2024-02-01", tz="UTC")
    inverted = pd.DataFrame(
        {"customer_id": ["a"], "subscription_id": ["s"], "started_at": [began], "ended_at": [ended]}
    )
    orders = pd.DataFrame({"customer_id": ["a"], "order_id": ["o"], "event_time": [began], "value": [1.0]})
    with pytest.raises(ContractBroken, match="ended_at"):
        make_profile(orders, subscriptions=inverted)
