"""Customers to value, simulated shops whose customers behave as no single model supposes, and time measured."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

from features.profile import Profile, profile_from_tables


class Timed(NamedTuple):
    """What a call gave, and what it took: seconds by the clock, and of the processors (all threads)."""

    result: Any
    seconds: float
    cpu: float


def timed(call: Callable[[], Any], rounds: int = 1) -> Timed:
    """The quickest of some rounds."""
    rounds_taken = []
    for _ in range(rounds):
        begun, worked = time.perf_counter(), time.process_time()
        result = call()
        rounds_taken.append(Timed(result, time.perf_counter() - begun, time.process_time() - worked))
    return min(rounds_taken, key=lambda taken: taken.cpu)


def customer_rows(customers: int) -> pd.DataFrame:
    """Histories over two years in whole days drawn from BG/NBD, spend in cents drawn from Gamma-Gamma."""
    generator = np.random.default_rng(0)
    age = generator.integers(30, 730, customers).astype(np.float64)
    rate, dropout = generator.gamma(0.6, 1 / 40, customers), generator.beta(0.8, 2.5, customers)
    count, last = np.zeros(customers), np.zeros(customers)
    clock, active = np.zeros(customers), np.ones(customers, dtype=bool)
    while active.any():
        clock += generator.exponential(1.0, customers) / np.maximum(rate, 1e-300)
        active &= clock <= age
        count, last = count + active, np.where(active, clock, last)
        active &= generator.random(customers) > dropout
    days = np.minimum(np.maximum(np.ceil(last), (count > 0).astype(np.float64)), age)
    buys = np.maximum(count, 1)
    value = generator.gamma(6 * buys) / buys * 15 / generator.gamma(4, size=customers)
    cents = np.where(count > 0, np.maximum(np.round(value, 2), 0.01), np.nan)
    return pd.DataFrame({"frequency": count, "recency_days": days, "T_days": age, "monetary_value": cents})


@pytest.fixture(scope="session")
def measure() -> Callable[..., Timed]:
    """`timed`, for benchmarks that cannot import it."""
    return timed


@pytest.fixture(scope="session")
def make_rows() -> Callable[[int], pd.DataFrame]:
    """`customer_rows`, for benchmarks that cannot import it."""
    return customer_rows


@pytest.fixture(scope="session")
def million() -> pd.DataFrame:
    """A million customers."""
    return customer_rows(1_000_000)


START = pd.Timestamp("2021-01-01", tz="UTC")
DAYS, CUSTOMERS = 900, 3_000


def orders_of(kind: str, seed: int = 1) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Orders and customers of a shop.

    Seasonal, growing, heavy_tail, marketplace, falling, channels, regular, slowing (each orders ever less with age) or
    outgrown (each leaves after about ten months).
    """
    generator = np.random.default_rng(seed)
    grown = generator.beta(3.0, 1.0, CUSTOMERS) if kind == "growing" else generator.random(CUSTOMERS)
    join = (DAYS - 60) * grown
    channel = generator.choice(["search", "mail", "social"], CUSTOMERS, p=[0.5, 0.3, 0.2])
    rate = generator.gamma(0.6, 1 / 40, CUSTOMERS)
    life = generator.exponential(1 / generator.gamma(0.8, 1 / 150, CUSTOMERS))
    spread = 1.2 if kind == "heavy_tail" else 0.5
    spend = 30 * np.exp(spread * generator.standard_normal(CUSTOMERS))
    if kind == "marketplace":
        life = np.where(generator.random(CUSTOMERS) < 0.75, 0.0, life)
    if kind == "channels":
        effect = np.where(channel == "mail", 2.0, np.where(channel == "social", 0.3, 1.0))
        rate, life, spend = rate * effect, life * effect, spend * np.sqrt(effect)
    if kind == "regular":
        rate = np.exp(0.5 * generator.standard_normal(CUSTOMERS)) / 30
    if kind == "slowing":
        rate, life = generator.gamma(0.8, 1 / 10, CUSTOMERS), np.full(CUSTOMERS, np.inf)
    if kind == "outgrown":
        rate, life = generator.gamma(1.5, 1 / 30, CUSTOMERS), generator.normal(300, 40, CUSTOMERS)
    rows = []
    for i in range(CUSTOMERS):
        day, end = join[i], min(DAYS, join[i] + life[i])
        rows.append((i, day))
        while True:
            gap = generator.gamma(6.0, 1 / 6) if kind == "regular" else generator.exponential()
            day += gap / max(rate[i] * BUSIEST, 1e-9) if kind == "seasonal" else gap / max(rate[i], 1e-9)
            if day >= end:
                break
            if generator.random() < strength(kind, day, day - join[i]):
                rows.append((i, day))
    told = pd.DataFrame(rows, columns=["customer", "day"])
    noise = np.exp(spread * generator.standard_normal(len(told)) - spread**2 / 2)
    value = np.maximum(spend[told["customer"]] * noise, 0.01).round(2)
    times = (START + pd.to_timedelta(told["day"], "D")).astype("datetime64[us, UTC]")
    ids = [f"c{i:05d}" for i in told["customer"]]
    order_ids = [f"o{i}" for i in range(len(told))]
    orders = pd.DataFrame({"customer_id": ids, "order_id": order_ids, "event_time": times, "value": value})
    return orders, pd.DataFrame(
        {"customer_id": [f"c{i:05d}" for i in range(CUSTOMERS)], "acquisition_channel": channel}
    )


BUSIEST = 1.75


def strength(kind: str, day: float, age: float) -> float:
    """How much is bought on a day and at an age, against the most."""
    if kind == "seasonal":
        return (1 + 0.75 * float(np.cos(2 * np.pi * (day - 345) / 365.25))) / BUSIEST
    if kind == "slowing":
        return float((1 + age / 15) ** -0.8)
    return 0.6 if kind == "falling" and day > 600 else 1.0


@pytest.fixture(scope="session")
def shop(make_profile: Callable[..., Profile]) -> Callable[[str], Profile]:
    """The profile of a simulated shop by its kind."""

    def make(kind: str) -> Profile:
        orders, customers = orders_of(kind)
        return make_profile(orders, customers=customers)

    return make


@pytest.fixture(scope="session")
def few_of() -> Callable[[Profile, int], Profile]:
    """The profile of so many of another's customers, drawn at random."""

    def draw(profile: Profile, customers: int) -> Profile:
        tables = {name: profile.backend.to_pyarrow(table).to_pandas() for name, table in profile.tables.items()}
        known = np.sort(tables["customers"]["customer_id"].to_numpy())
        kept = set(np.random.default_rng(1).choice(known, customers, replace=False))
        return profile_from_tables({name: of[of["customer_id"].isin(kept)] for name, of in tables.items()})

    return draw
