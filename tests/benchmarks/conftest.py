"""Simulated shops whose customers behave as no single model supposes."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from features.profile import Profile, profile_from_tables

START = pd.Timestamp("2021-01-01", tz="UTC")
DAYS, CUSTOMERS = 900, 3_000


def orders_of(kind: str, seed: int = 1) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Orders and customers of a shop: seasonal, growing, heavy_tail, marketplace, falling, channels or regular."""
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
    rows = []
    for i in range(CUSTOMERS):
        day, end = join[i], min(DAYS, join[i] + life[i])
        rows.append((i, day))
        while True:
            gap = generator.gamma(6.0, 1 / 6) if kind == "regular" else generator.exponential()
            day += gap / max(rate[i] * BUSIEST, 1e-9) if kind == "seasonal" else gap / max(rate[i], 1e-9)
            if day >= end:
                break
            if generator.random() < strength(kind, day):
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


def strength(kind: str, day: float) -> float:
    """How much is bought on a day, against the busiest."""
    if kind == "seasonal":
        return (1 + 0.75 * float(np.cos(2 * np.pi * (day - 345) / 365.25))) / BUSIEST
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
