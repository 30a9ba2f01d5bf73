"""Deals of customers into folds, one or several."""

import numpy as np
import pandas as pd
import pytest

from features.flat import FlatTable, open_flat
from training.config import TrainConfig
from training.fit import fit
from training.rows.folds import DEALS, FEW_CUSTOMERS, averaged, deals_of, folds_of
from training.rows.splits import Split
from training.task import Measured


def rows_of(customers: int, copies: int = 1) -> Split:
    ids = [f"c{i // copies}" for i in range(customers * copies)]
    churned = np.tile([1.0, 0.0, 0.0, 0.0], customers * copies)[: customers * copies]
    frame = pd.DataFrame({"churned": churned, "person": ids})
    return Split("cv", pd.DataFrame({"customer_id": ids}), pd.DataFrame(index=frame.index), frame, "none")


def test_few_customers_are_dealt_several_times_and_each_time_otherwise() -> None:
    rows = rows_of(100)
    deals = [folds_of(rows, deal) for deal in deals_of(rows, TrainConfig())]
    assert len(deals) == DEALS
    assert all((one != other).any() for i, one in enumerate(deals) for other in deals[:i])


def test_many_customers_are_dealt_once_and_ids_of_one_person_do_not_make_them_many() -> None:
    assert len(deals_of(rows_of(FEW_CUSTOMERS), TrainConfig())) == 1
    assert len(deals_of(rows_of(FEW_CUSTOMERS // 2, copies=2), TrainConfig())) == DEALS


def test_a_search_in_every_fold_has_one_deal() -> None:
    assert len(deals_of(rows_of(100), TrainConfig(search_minutes=1))) == 1


def measured(area: float, low: float, high: float, losses: list[float]) -> Measured:
    scores = pd.DataFrame({"probability_churned": losses})
    return Measured({"roc_auc": area, "roc_auc_low": low, "roc_auc_high": high}, np.array(losses), scores)


def test_mean_of_deals_and_how_far_its_interval_reaches_by_hand() -> None:
    """0.70 and 0.80 lie 0.05 sqrt(2) = 0.0707 apart as a deviation: 1.6449 * 0.0707 / sqrt(2) = 0.0822 of the mean."""
    found = averaged([measured(0.7, 0.6, 0.8, [0.2, 0.4]), measured(0.8, 0.75, 0.85, [0.4, 0.8])])
    assert found.metrics["roc_auc"] == pytest.approx(0.75)
    assert found.metrics["roc_auc_low"] == pytest.approx(0.75 - np.hypot(0.075, 0.082245))
    assert found.metrics["roc_auc_high"] == pytest.approx(0.75 + np.hypot(0.075, 0.082245))
    assert found.losses == pytest.approx([0.3, 0.6])
    assert found.scores["probability_churned"].tolist() == [0.2, 0.4]
    assert found.metrics["deals"] == 2


def test_one_deal_is_as_it_was_measured() -> None:
    one = measured(0.7, 0.6, 0.8, [0.2, 0.4])
    assert averaged([one]) is one


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> FlatTable:
    """300 customers, half of whom leave, the more likely the greater x is."""
    generator = np.random.default_rng(5)
    x = generator.normal(size=300)
    left = np.where(x + generator.normal(size=300) > 0, "yes", "no")
    file = tmp_path_factory.mktemp("flat") / "few.csv"
    pd.DataFrame({"customer_id": [f"c{i}" for i in range(300)], "x": x, "left": left}).to_csv(file, index=False)
    return open_flat(str(file), "customer_id", "left")


def test_figures_of_few_customers_hang_less_on_the_seed(few: FlatTable, monkeypatch: pytest.MonkeyPatch) -> None:
    """The spread of the log loss over three seeds, with five deals and with one."""

    def spread() -> float:
        seeds = [TrainConfig(label="left", refit=False, random_state=100 * seed) for seed in range(3)]
        return float(np.std([fit("churn", few, seed, "churn_logistic")[0].metrics["cv/log_loss"] for seed in seeds]))

    several = spread()
    monkeypatch.setattr("training.rows.folds.DEALS", 1)
    assert several < 0.8 * spread()
