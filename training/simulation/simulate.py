"""A simulated customer profile whose truth is known: every table of the contract, and how it came about.

One latent number drives everything a customer says and does: satisfaction s, standard normal.

- **Orders** follow BG/NBD: a rate drawn from Gamma(r, alpha) a day, and after each order a dropout with a probability
  drawn from Beta(a, b). The dropout probability falls with satisfaction through a Gaussian copula
  (``z = -dropout_on_satisfaction * s + noise``), so that its distribution over customers stays exactly Beta(a, b).
- **Spend** follows Gamma-Gamma: each order Gamma(p, nu), nu drawn from Gamma(q, v) for each customer.
- **Contacts** with support come at a rate multiplied by ``exp(-contacts_on_satisfaction * s)``; some are complaints.
- **Surveys** are sent while and after a customer is active. Very satisfied and very dissatisfied customers answer more
  often, dissatisfied ones less than satisfied ones, and those who have dropped out rarely: silence says something.
  Scores rise with satisfaction.
- **Subscriptions** are held by some and end sooner for the dissatisfied; **events** (visits, carts, messages, loyalty
  points) follow activity. Some rows are known only days after they happened.
- **Campaigns** reach nine customers of ten and hold one back; they, the portrait and the channels change nothing.

Nothing here describes real customers; everything made from it is called simulated.
"""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.special import expit
from scipy.stats import beta, norm

from features.contract import MONEY_PRECISION, MONEY_SCALE, TABLES
from features.engine.compiled import ARRIVING_TYPES
from features.instants import to_us
from features.profile import SIMULATED_MARK
from training.errors import ConfigInvalid
from training.simulation.contacts import simulated_campaigns, simulated_events, simulated_subscriptions
from training.simulation.truth import Truth

Array = npt.NDArray[np.float64]
DAY = 86_400.0


START = datetime(2023, 1, 1, tzinfo=UTC)


def simulate(folder: Path, customers: int, seed: int = 0, truth: Truth | None = None) -> Path:
    """Write a simulated profile.

    Parameters
    ----------
    folder : Path
        Gets a Parquet file a table, ``truth.parquet`` (one row a customer) and ``truth.json`` (the parameters).
    customers : int
        How many, 1 to 10 million.
    seed : int
        The same seed gives the same bytes.
    truth : Truth, optional
        What to draw from.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ConfigInvalid
        If the number of customers makes no sense.
    """
    if not 1 <= customers <= 10_000_000:
        raise ConfigInvalid("customers", customers, "1 to 10,000,000", place="--customers")
    truth = truth or Truth()
    generator = np.random.default_rng(seed)
    people = _people(customers, truth, generator)
    orders, people["dropout_day"] = _orders(people, truth, generator)
    tables = {
        "customers": _customers(people, generator),
        "orders": orders,
        "events": simulated_events(people, orders, truth, generator),
        "surveys": _surveys(people, orders, truth, generator),
        "subscriptions": simulated_subscriptions(people, truth, generator),
        "campaigns": simulated_campaigns(people, truth, generator),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in tables.items():
        pq.write_table(_typed(name, frame), folder / f"{name}.parquet", compression="zstd")
    pq.write_table(pa.Table.from_pandas(people, preserve_index=False), folder / "truth.parquet", compression="zstd")
    facts = {"simulated": True, "seed": seed, "customers": customers, **asdict(truth)}
    (folder / SIMULATED_MARK).write_text(json.dumps(facts, indent=1) + "\n")
    return folder


def _people(customers: int, truth: Truth, generator: np.random.Generator) -> pd.DataFrame:
    """One row a customer with everything that is drawn once."""
    satisfaction = generator.standard_normal(customers)
    rest = np.sqrt(1 - truth.dropout_on_satisfaction**2)
    place = -truth.dropout_on_satisfaction * satisfaction + rest * generator.standard_normal(customers)
    width = len(str(customers))
    return pd.DataFrame(
        {
            "customer_id": [f"c{i:0{width}d}" for i in range(1, customers + 1)],
            "satisfaction": satisfaction,
            "rate_a_day": generator.gamma(truth.r, 1 / truth.alpha, customers),
            "dropout_probability": np.clip(beta.ppf(norm.cdf(place), truth.a, truth.b), 1e-9, 1.0),
            "spend_scale": generator.gamma(truth.q, 1 / truth.v, customers),
            "joined_day": generator.uniform(0, min(truth.joining_days, truth.days), customers),
        }
    )


def _orders(people: pd.DataFrame, truth: Truth, generator: np.random.Generator) -> tuple[pd.DataFrame, Array]:
    """Orders of BG/NBD, some given back; and the day each customer dropped out (NaN while active)."""
    joined, rate = people["joined_day"].to_numpy(), people["rate_a_day"].to_numpy()
    dropout = people["dropout_probability"].to_numpy()
    who, day = np.arange(len(people)), joined.copy()
    gone = np.full(len(people), np.nan)
    owners, days = [who], [day]
    while len(who):  # one order further for everyone still active; the first order is not followed by a dropout
        day = day + generator.exponential(1 / rate[who])
        kept = day < truth.days
        who, day = who[kept], day[kept]
        owners.append(who)
        days.append(day)
        leaves = generator.random(len(who)) < dropout[who]
        gone[who[leaves]] = day[leaves]
        who, day = who[~leaves], day[~leaves]
    owner, placed = np.concatenate(owners), np.concatenate(days)
    order = np.lexsort((placed, owner))
    owner, placed = owner[order], placed[order]
    value = generator.gamma(truth.p, 1 / people["spend_scale"].to_numpy()[owner])
    discounted = generator.random(len(owner)) < 0.2
    frame = pd.DataFrame(
        {
            "customer_id": people["customer_id"].to_numpy()[owner],
            "order_id": [f"o{i}" for i in range(1, len(owner) + 1)],
            "event_time": placed,
            "value": np.round(value, 2),
            "ingested_at": placed,
            "currency": "EUR",
            "channel": generator.choice(["web", "app", "store"], len(owner), p=[0.5, 0.3, 0.2]),
            "category": generator.choice(["home", "garden", "toys", "books"], len(owner)),
            "discount_value": np.where(discounted, np.round(value * 0.1, 2), 0.0),
            "margin_value": np.round(value * 0.4, 2),
            "item_count": 1.0 + np.floor(value / 20),
            "is_return": False,
        }
    )
    returned = frame[generator.random(len(frame)) < 0.05].copy()
    returned["order_id"] = "r" + returned["order_id"]
    returned["event_time"] += generator.uniform(2, 20, len(returned))
    returned["ingested_at"] = returned["event_time"] + generator.uniform(0, 5, len(returned))
    returned["value"], returned["margin_value"] = -returned["value"], -returned["margin_value"]
    returned["discount_value"], returned["is_return"] = 0.0, True
    whole = pd.concat([frame, returned[returned["event_time"] < truth.days]])
    return whole.sort_values(["event_time", "order_id"], kind="stable").reset_index(drop=True), gone


def _customers(people: pd.DataFrame, generator: np.random.Generator) -> pd.DataFrame:
    count = len(people)
    return pd.DataFrame(
        {
            "customer_id": people["customer_id"],
            "created_at": people["joined_day"],
            "ingested_at": people["joined_day"],
            "acquisition_channel": generator.choice(["search", "social", "referral"], count, p=[0.5, 0.3, 0.2]),
            "acquisition_cost": np.round(generator.gamma(4, 3, count), 2),
            **_portrait(count, generator),
        }
    )


def _portrait(count: int, generator: np.random.Generator) -> dict[str, npt.NDArray[Any]]:
    """Attributes that change nothing; every fifth customer is a company, some said nothing of themselves."""

    def drawn(levels: list[str], share: Array) -> npt.NDArray[Any]:
        said = generator.choice(levels, count).astype(object)
        said[generator.random(count) >= share] = None
        return said

    company = (generator.random(count) < 0.2).astype(np.float64)
    return {
        "region": drawn(["north", "east", "south", "west"], np.full(count, 0.95)),
        "age_band": drawn(["18-29", "30-44", "45-59", "60+"], 0.8 * (1 - company)),
        "gender": drawn(["female", "male", "other"], 0.7 * (1 - company)),
        "income_band": drawn(["low", "middle", "high"], np.full(count, 0.5)),
        "company_size": drawn(["1-9", "10-49", "50+"], company),
        "industry": drawn(["trade", "crafts", "services"], company),
        "tier": drawn(["basic", "silver", "gold"], np.full(count, 1.0)),
    }


def _surveys(people: pd.DataFrame, orders: pd.DataFrame, truth: Truth, generator: np.random.Generator) -> pd.DataFrame:
    """NPS every 120 days, CSAT after some orders, CES after some of those: asked far more often than answered."""
    joined = people["joined_day"].to_numpy()
    waves = truth.days // 120
    owner = np.arange(len(people)).repeat(waves)
    sent = joined[owner] + np.tile(np.arange(waves) * 120.0 + 30, len(people))
    periodic = pd.DataFrame({"owner": owner, "sent_at": sent, "metric": "nps", "programme": "periodic"})
    positions = pd.Series(np.arange(len(people)), index=people["customer_id"])
    bought = orders[~orders["is_return"].astype(bool)]
    asked = bought[generator.random(len(bought)) < 0.25]
    after = pd.DataFrame(
        {
            "owner": positions[asked["customer_id"]].to_numpy(),
            "sent_at": asked["event_time"].to_numpy() + 1,
        }
    )
    after["metric"] = generator.choice(["csat", "ces"], len(after), p=[0.7, 0.3])
    after["programme"] = "event"
    frame = pd.concat([periodic, after])
    frame = (
        frame[frame["sent_at"] < truth.days]
        .sort_values(["sent_at", "owner", "metric"], kind="stable")
        .reset_index(drop=True)
    )
    owner = frame.pop("owner").to_numpy()
    satisfaction = people["satisfaction"].to_numpy()[owner]
    gone = frame["sent_at"].to_numpy() > people["dropout_day"].to_numpy()[owner]
    answers = generator.random(len(frame)) < expit(-1.2 + 0.6 * np.abs(satisfaction) + 0.4 * satisfaction - 2.0 * gone)
    responded = frame["sent_at"].to_numpy() + generator.exponential(2.0, len(frame))
    answers &= responded < truth.days
    middle = frame["metric"].map({"nps": 7.0, "csat": 3.6, "ces": 4.8}).to_numpy(dtype=np.float64)
    spread = frame["metric"].map({"nps": 2.0, "csat": 0.8, "ces": 1.1}).to_numpy(dtype=np.float64)
    top = frame["metric"].map({"nps": 10, "csat": 5, "ces": 7}).to_numpy(dtype=np.float64)
    bottom = frame["metric"].map({"nps": 0, "csat": 1, "ces": 1}).to_numpy(dtype=np.float64)
    said = middle + spread * (0.8 * satisfaction + 0.6 * generator.standard_normal(len(frame)))
    frame["customer_id"] = people["customer_id"].to_numpy()[owner]
    frame["responded_at"] = np.where(answers, responded, np.nan)
    frame["score"] = np.where(answers, np.clip(np.round(said), bottom, top), np.nan)
    frame["ingested_at"] = frame["sent_at"]  # known as asked at once: an open question must not tell how it will end
    frame["touchpoint"] = frame["metric"].map({"nps": "relationship", "csat": "order", "ces": "support"})
    return frame


def _typed(name: str, frame: pd.DataFrame) -> pa.Table:
    """A table with the contract's types; days since the start become instants, money becomes exact."""
    columns = {}
    for column in TABLES[name].columns:
        if column.name not in frame:
            continue
        values = frame[column.name]
        if column.kind == "instant":
            columns[column.name] = _instants(values.to_numpy(dtype=np.float64))
        elif column.kind == "money":
            amounts = pa.array(values.to_numpy(dtype=np.float64))
            columns[column.name] = amounts.cast(pa.decimal128(MONEY_PRECISION, MONEY_SCALE), safe=False)
        elif column.kind == "score":
            columns[column.name] = pa.array(values.to_numpy(dtype=np.float64), from_pandas=True).cast(pa.int64())
        else:
            columns[column.name] = pa.array(values.tolist(), ARRIVING_TYPES[column.kind], from_pandas=True)
    return pa.table(columns)


def _instants(days: Array) -> pa.Array:
    start = to_us(START)
    known = ~np.isnan(days)
    micros = np.where(known, start + np.round(np.nan_to_num(days) * DAY) * 1e6, 0).astype(np.int64)
    return pa.array(micros, mask=~known).cast(pa.timestamp("us", tz="UTC"))
