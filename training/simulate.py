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
- **Subscriptions** are held by some and end sooner for the dissatisfied; **events** (visits, carts, messages) follow
  activity. Some rows are known only days after they happened.

Nothing here describes real customers; everything made from it is called simulated.
"""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.special import expit
from scipy.stats import beta, norm

from features.compiled import ARRIVING_TYPES
from features.contract import MONEY_PRECISION, MONEY_SCALE, TABLES
from features.instants import to_us
from features.profile import SIMULATED_MARK
from training.errors import ConfigInvalid

Array = npt.NDArray[np.float64]
DAY = 86_400.0


@dataclass(frozen=True)
class Truth:
    """What the simulated customers are drawn from.

    Parameters
    ----------
    r, alpha, a, b : float
        BG/NBD, time in days.
    p, q, v : float
        Gamma-Gamma, in currency.
    dropout_on_satisfaction : float
        Correlation of satisfaction with the (negative) dropout score, 0 to 1.
    contacts_a_year, contacts_on_satisfaction : float
        Support contacts of a customer of average satisfaction, and how they fall with it on the log scale.
    days, joining_days : int
        Length of the history, and of its first part in which customers join.
    """

    r: float = 0.9
    alpha: float = 22.0
    a: float = 0.8
    b: float = 3.2
    p: float = 6.0
    q: float = 4.0
    v: float = 15.0
    dropout_on_satisfaction: float = 0.6
    contacts_a_year: float = 2.0
    contacts_on_satisfaction: float = 0.7
    days: int = 730
    joining_days: int = 540


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
        raise ConfigInvalid("customers", customers, "1 to 10,000,000")
    truth = truth or Truth()
    generator = np.random.default_rng(seed)
    people = _people(customers, truth, generator)
    orders, people["dropout_day"] = _orders(people, truth, generator)
    tables = {
        "customers": _customers(people, generator),
        "orders": orders,
        "events": _events(people, orders, truth, generator),
        "surveys": _surveys(people, orders, truth, generator),
        "subscriptions": _subscriptions(people, truth, generator),
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
        }
    )


def _while_active(
    people: pd.DataFrame, a_day: Array, truth: Truth, generator: np.random.Generator
) -> tuple[npt.NDArray[np.int64], Array]:
    """Owners and days of a Poisson process from joining until shortly after dropping out."""
    joined = people["joined_day"].to_numpy()
    until = np.minimum(np.nan_to_num(people["dropout_day"].to_numpy(), nan=truth.days) + 15, truth.days)
    span = np.maximum(until - joined, 0)
    counts = generator.poisson(a_day * span)
    owner = np.repeat(np.arange(len(people)), counts)
    return owner, joined[owner] + generator.random(len(owner)) * span[owner]


def _events(people: pd.DataFrame, orders: pd.DataFrame, truth: Truth, generator: np.random.Generator) -> pd.DataFrame:
    parts = []

    def add(owner: npt.NDArray[Any], day: Array, kind: npt.NDArray[Any] | str, channel: str) -> None:
        parts.append(pd.DataFrame({"owner": owner, "event_time": day, "kind": kind, "channel": channel}))

    visits, day = _while_active(people, 4 * people["rate_a_day"].to_numpy() + 0.01, truth, generator)
    add(visits, day, "session", "web")
    left = generator.random(len(visits)) < 0.1
    add(visits[left], day[left] + 0.01, "cart_abandon", "web")
    dissatisfied = np.exp(-truth.contacts_on_satisfaction * people["satisfaction"].to_numpy())
    contacts, day = _while_active(people, truth.contacts_a_year / 365 * dissatisfied, truth, generator)
    complains = expit(-1 - people["satisfaction"].to_numpy()[contacts])
    kinds = generator.choice(["support_ticket", "call"], len(contacts))
    add(contacts, day, np.where(generator.random(len(contacts)) < complains, "complaint", kinds), "phone")
    joined = people["joined_day"].to_numpy()
    letters = np.arange(len(people)).repeat(truth.days // 60)
    day = joined[letters] + np.tile(np.arange(truth.days // 60) * 60.0 + 7, len(people))
    letters, day = letters[day < truth.days], day[day < truth.days]
    add(letters, day, "email_sent", "email")
    active = ~(day > people["dropout_day"].to_numpy()[letters])
    opens = generator.random(len(letters)) < np.where(active, 0.4, 0.1)
    add(letters[opens], day[opens] + 0.5, "email_open", "email")
    frame = pd.concat(parts)
    frame = frame[frame["event_time"] < truth.days].sort_values(["event_time", "owner", "kind"], kind="stable")
    frame["customer_id"] = people["customer_id"].to_numpy()[frame.pop("owner")]
    frame["event_id"] = [f"e{i}" for i in range(1, len(frame) + 1)]
    frame["ingested_at"] = frame["event_time"] + np.where(generator.random(len(frame)) < 0.05, 3.0, 0.0)
    del orders
    return frame.reset_index(drop=True)


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


def _subscriptions(people: pd.DataFrame, truth: Truth, generator: np.random.Generator) -> pd.DataFrame:
    """A membership of a third of the customers, from joining until it lapses."""
    members = np.flatnonzero(generator.random(len(people)) < 1 / 3)
    joined = people["joined_day"].to_numpy()[members]
    lasts = generator.exponential(300 * np.exp(0.4 * people["satisfaction"].to_numpy()[members]))
    ended = joined + lasts
    plans = generator.choice(["basic", "plus"], len(members), p=[0.7, 0.3])
    return pd.DataFrame(
        {
            "customer_id": people["customer_id"].to_numpy()[members],
            "subscription_id": [f"s{i}" for i in range(1, len(members) + 1)],
            "started_at": joined,
            "ended_at": np.where(ended < truth.days, ended, np.nan),
            "plan": plans,
            "monthly_value": np.where(plans == "plus", 9.9, 4.9),
            "ingested_at": joined,
        }
    )


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
            columns[column.name] = pa.array(values.tolist(), ARRIVING_TYPES[column.kind])
    return pa.table(columns)


def _instants(days: Array) -> pa.Array:
    start = to_us(START)
    known = ~np.isnan(days)
    micros = np.where(known, start + np.round(np.nan_to_num(days) * DAY) * 1e6, 0).astype(np.int64)
    return pa.array(micros, mask=~known).cast(pa.timestamp("us", tz="UTC"))


def simulated_end(truth: Truth | None = None) -> datetime:
    """The instant at which the simulated history stops."""
    return START + timedelta(days=(truth or Truth()).days)
