import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta, gamma, kstest

from features.profile import Profile, open_profile
from models.clv.orders.bgnbd import Histories, fit_bgnbd
from models.clv.spend.gamma_gamma import fit_gamma_gamma
from training.errors import ConfigInvalid
from training.simulation.simulate import START, simulate
from training.simulation.truth import Truth

CUSTOMERS = 4_000
TABLES = ("customers", "orders", "events", "surveys", "subscriptions", "campaigns")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate(tmp_path_factory.mktemp("simulation"), CUSTOMERS, seed=1)


@pytest.fixture(scope="module")
def profile(folder: Path) -> Profile:
    return open_profile(folder)


@pytest.fixture(scope="module")
def people(folder: Path) -> pd.DataFrame:
    """The truth about each customer."""
    return pd.read_parquet(folder / "truth.parquet")


@pytest.fixture(scope="module")
def orders(folder: Path) -> pd.DataFrame:
    """Orders placed, with their day since the start."""
    placed = pd.read_parquet(folder / "orders.parquet").query("not is_return")
    return placed.assign(day=days_of(placed["event_time"]), value=placed["value"].astype(float))


@pytest.fixture(scope="module")
def surveys(folder: Path, people: pd.DataFrame) -> pd.DataFrame:
    """Questions with the truth about those who were asked."""
    asked = pd.read_parquet(folder / "surveys.parquet").merge(people, on="customer_id")
    return asked.assign(answered=asked["responded_at"].notna(), gone=days_of(asked["sent_at"]) > asked["dropout_day"])


def days_of(instants: pd.Series) -> pd.Series:
    return (instants - pd.Timestamp(START)).dt.total_seconds() / 86_400


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    first, again = (content(simulate(tmp_path / name, 50, seed=3)) for name in ("first", "again"))
    assert first == again
    assert set(first) == {*(f"{table}.parquet" for table in TABLES), "truth.parquet", "truth.json"}


def test_another_seed_gives_other_customers(tmp_path: Path) -> None:
    first, other = (content(simulate(tmp_path / str(seed), 50, seed=seed)) for seed in (3, 4))
    assert all(first[name] != other[name] for name in first)


def test_profile_is_valid_without_any_finding(profile: Profile) -> None:
    assert profile.findings == ()
    assert set(profile.tables) == set(TABLES)


def test_profile_says_that_it_is_simulated(profile: Profile) -> None:
    assert profile.is_simulated


def test_truth_is_written_beside_the_profile(folder: Path) -> None:
    facts = json.loads((folder / "truth.json").read_text())
    assert facts == {"simulated": True, "seed": 1, "customers": CUSTOMERS, **asdict(Truth())}


def test_history_lies_inside_its_bounds(profile: Profile) -> None:
    assert profile.known_from == START
    assert profile.known_until == START + timedelta(days=Truth().days)


@pytest.mark.parametrize("customers", [1, 2, 17])
def test_few_customers_make_a_valid_profile(customers: int, tmp_path: Path) -> None:
    simulate(tmp_path, customers, seed=5)
    made = open_profile(tmp_path)
    assert made.table("customers", "test").count().to_pyarrow().as_py() == customers


@pytest.mark.parametrize("customers", [0, -1, 10_000_001])
def test_senseless_number_of_customers_is_refused_and_nothing_written(customers: int, tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match=rf"setting 'customers' is {customers}\. Allowed: 1 to 10,000,000"):
        simulate(tmp_path / "new", customers)
    assert not (tmp_path / "new").exists()


def test_every_customer_ordered_at_least_once_from_joining(orders: pd.DataFrame, people: pd.DataFrame) -> None:
    first = orders.groupby("customer_id")["day"].min().reindex(people["customer_id"])
    np.testing.assert_allclose(first, people["joined_day"], atol=1 / 86_400)


def test_nobody_orders_after_dropping_out(orders: pd.DataFrame, people: pd.DataFrame) -> None:
    last = orders.groupby("customer_id")["day"].max().reindex(people["customer_id"]).to_numpy()
    gone = people["dropout_day"].notna().to_numpy()
    np.testing.assert_allclose(last[gone], people["dropout_day"][gone], atol=1 / 86_400)


def test_rates_and_dropout_probabilities_have_the_stated_distributions(people: pd.DataFrame) -> None:
    truth = Truth()
    assert kstest(people["rate_a_day"], gamma(truth.r, scale=1 / truth.alpha).cdf).pvalue > 0.01
    assert kstest(people["dropout_probability"], beta(truth.a, truth.b).cdf).pvalue > 0.01
    assert kstest(people["spend_scale"], gamma(truth.q, scale=1 / truth.v).cdf).pvalue > 0.01


def test_bgnbd_recovers_the_truth_from_4000_customers(orders: pd.DataFrame) -> None:
    """Order by order, as the model has it: order days would merge the orders of one day."""
    by_customer = orders.groupby("customer_id")["day"]
    first, last = by_customer.min(), by_customer.max()
    frequency = (by_customer.size() - 1).to_numpy().astype(np.float64)
    truth = Truth()
    histories = Histories(
        frequency, (last - first).to_numpy(), (truth.days - first).to_numpy(), np.ones(len(frequency))
    )
    found, warnings = fit_bgnbd(histories)
    assert warnings == ()
    # three standard deviations over seeds
    assert found.r == pytest.approx(truth.r, rel=0.07)
    assert found.alpha == pytest.approx(truth.alpha, rel=0.10)
    assert found.a == pytest.approx(truth.a, rel=0.21)
    assert found.b == pytest.approx(truth.b, rel=0.29)
    assert found.a / (found.a + found.b) == pytest.approx(truth.a / (truth.a + truth.b), rel=0.09)


def test_gamma_gamma_recovers_the_truth_from_4000_customers(orders: pd.DataFrame) -> None:
    repeat = orders.sort_values("day")
    repeat = repeat[repeat.groupby("customer_id").cumcount() > 0]
    by_customer = repeat.groupby("customer_id")["value"]
    frequency, mean = by_customer.size().to_numpy().astype(np.float64), by_customer.mean().to_numpy()
    found, warnings = fit_gamma_gamma(frequency, mean)
    assert warnings == ()
    truth = Truth()
    # three standard deviations over seeds
    assert found.p == pytest.approx(truth.p, rel=0.20)
    assert found.q == pytest.approx(truth.q, rel=0.10)
    assert found.v == pytest.approx(truth.v, rel=0.30)
    assert found.population_mean == pytest.approx(truth.p * truth.v / (truth.q - 1), rel=0.035)


def test_another_truth_gives_another_profile(tmp_path: Path) -> None:
    often, seldom = (
        len(pd.read_parquet(simulate(tmp_path / str(alpha), 300, 0, Truth(alpha=alpha)) / "orders.parquet"))
        for alpha in (10.0, 100.0)
    )
    assert often > 2 * seldom


def test_satisfied_customers_drop_out_less(people: pd.DataFrame) -> None:
    # a Gaussian copula with correlation -0.6 has a rank correlation of 6/pi asin(-0.3) = -0.58
    found = people["satisfaction"].corr(people["dropout_probability"], method="spearman")
    assert found == pytest.approx(-0.582, abs=0.04)


def test_dropout_does_not_depend_on_satisfaction_when_told_so(tmp_path: Path) -> None:
    simulate(tmp_path, 2_000, seed=2, truth=Truth(dropout_on_satisfaction=0.0))
    people = pd.read_parquet(tmp_path / "truth.parquet")
    found = people["satisfaction"].corr(people["dropout_probability"], method="spearman")
    assert abs(found) < 0.09  # four standard errors of 2,000 customers


def test_questions_are_asked_more_often_than_answered(surveys: pd.DataFrame) -> None:
    assert 0.1 < surveys["answered"].mean() < 0.5


def test_satisfied_answer_most_dissatisfied_less_the_indifferent_least(surveys: pd.DataFrame) -> None:
    active = surveys[~surveys["gone"]]
    rate = {
        name: active[active["satisfaction"].between(low, high)]["answered"].mean()
        for name, low, high in (("low", -9.0, -1.5), ("middle", -0.5, 0.2), ("high", 1.5, 9.0))
    }
    assert rate["high"] > rate["low"] + 0.1 > rate["middle"] + 0.1


def test_those_who_have_dropped_out_rarely_answer(surveys: pd.DataFrame) -> None:
    gone, active = (surveys[surveys["gone"] == which]["answered"].mean() for which in (True, False))
    assert gone < active / 3


@pytest.mark.parametrize("metric", ["nps", "csat", "ces"])
def test_scores_rise_with_satisfaction(metric: str, surveys: pd.DataFrame) -> None:
    answers = surveys[surveys["answered"] & (surveys["metric"] == metric)]
    # 0.8 before rounding and clipping to the scale
    assert answers["score"].astype(float).corr(answers["satisfaction"]) > 0.7


def test_question_is_known_when_it_is_sent_whether_it_will_be_answered_or_not(surveys: pd.DataFrame) -> None:
    assert (surveys["ingested_at"] == surveys["sent_at"]).all()


def test_contacts_fall_with_satisfaction_and_complaints_with_it(folder: Path, people: pd.DataFrame) -> None:
    events = pd.read_parquet(folder / "events.parquet")
    contacts = events[events["kind"].isin(["support_ticket", "call", "complaint"])]
    counts = contacts.groupby("customer_id").size().reindex(people["customer_id"], fill_value=0).to_numpy()
    active = np.minimum(people["dropout_day"].fillna(730) + 15, 730) - people["joined_day"]
    quarter = pd.qcut(people["satisfaction"], 4, labels=False).to_numpy()
    rates = [counts[quarter == i].sum() / active[quarter == i].sum() * 365 for i in range(4)]
    assert rates == sorted(rates, reverse=True)
    # exp(-0.7 s): mean s of the outer quarters is -1.27 and 1.27, a ratio of about 6
    assert 4 < rates[0] / rates[3] < 9
    complaints = contacts.merge(people.assign(quarter=quarter), on="customer_id").groupby("quarter")["kind"]
    shares = complaints.apply(lambda kinds: (kinds == "complaint").mean()).tolist()
    assert shares == sorted(shares, reverse=True)


def test_memberships_of_the_dissatisfied_end_sooner(folder: Path, people: pd.DataFrame) -> None:
    members = pd.read_parquet(folder / "subscriptions.parquet").merge(people, on="customer_id")
    ended = members["ended_at"].notna()
    assert 0.2 < len(members) / CUSTOMERS < 0.45
    assert ended[members["satisfaction"] < 0].mean() > ended[members["satisfaction"] > 0].mean() + 0.05


def test_some_facts_are_known_only_days_later_and_none_before_they_happen(
    folder: Path, clocks: Callable[[str], tuple[pd.Series, pd.Series]]
) -> None:
    for table in ("orders", "events"):
        happened, known = clocks(table)
        assert (known >= happened).all()
        assert (known - happened).max() >= pd.Timedelta(days=2)


@pytest.fixture(scope="module")
def clocks(folder: Path) -> Callable[[str], tuple[pd.Series, pd.Series]]:
    def _clocks(table: str) -> tuple[pd.Series, pd.Series]:
        frame = pd.read_parquet(folder / f"{table}.parquet")
        return frame["event_time"], frame["ingested_at"]

    return _clocks


def test_returns_give_back_an_order_that_was_placed_before(folder: Path) -> None:
    frame = pd.read_parquet(folder / "orders.parquet").set_index("order_id")
    returns = frame[frame["is_return"]]
    bought = frame.loc[returns.index.str.removeprefix("r")]
    assert (returns["value"].to_numpy() == -bought["value"].to_numpy()).all()
    assert (returns["event_time"].to_numpy() > bought["event_time"].to_numpy()).all()
