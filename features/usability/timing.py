"""What the times of a profile say about its use: delays, stale sources, gaps and breaks, facts out of order."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import ibis.expr.types as ir
import numpy as np
import numpy.typing as npt

from features.contract import FACT_TABLES, TABLES
from features.finding import Finding
from features.instants import DAY_US, EPOCH
from features.profile import Profile
from features.reading.strays import STRAY_DAYS, part_strays, rows_by_day
from features.snapshot import MICROSECONDS

STALE_TIMES, STALE_DAYS = 10, 7
"""A source is stale when silent for more than so many of its usual gaps, so many days, and its own longest gap."""
BUSY_WEEK = 10
"""Rows of a median week from which an empty week is no chance (with 10 expected, 1 in 22,000)."""
SIDE_WEEKS, NEAR_WEEKS, SHIFT_FACTOR, SHIFT_DEVIATIONS = 8, 3, 2.0, 5.0
LATER_THAN_MOST = 0.5
Weeks = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Delay:
    """How long after the fact its row could first be known, in days.

    Parameters
    ----------
    table : str
        The table.
    rows : int
        Rows with both times.
    median, p90, p99, maximum : float
        Quantiles of `ingested_at` minus the time of the fact.
    """

    table: str
    rows: int
    median: float
    p90: float
    p99: float
    maximum: float


@dataclass(frozen=True)
class Volume:
    """Rows of a table by week.

    Parameters
    ----------
    table : str
        The table.
    first : str
        First day of the first week.
    weeks : tuple of int
        Rows of each whole week.
    """

    table: str
    first: str
    weeks: tuple[int, ...]


def examine_time(profile: Profile) -> tuple[list[Finding], list[Delay], list[Volume]]:
    """Look at the clocks of every table of facts, in three passes a table.

    Returns
    -------
    findings : list of Finding
        Step "time".
    delays : list of Delay
        One for each table with `ingested_at`.
    volumes : list of Volume
        One for each table with a whole week.
    """
    findings: list[Finding] = []
    delays: list[Delay] = []
    days: dict[str, dict[int, int]] = {}
    later: dict[str, list[int]] = {}
    for name in FACT_TABLES:
        if name not in profile.conformed:
            continue
        daily, astray = _without_strays(name, rows_by_day(profile.conformed[name], profile.backend.name))
        if daily:
            days[name] = daily
            findings += astray
            found, delay = _arrival(profile, name)
            findings += [*found, *_out_of_order(profile, name, later)]
            delays += delay
    findings += _later_than_most(later)
    findings += _stale(days)
    volumes = [volume for name, daily in days.items() if (volume := _weekly(name, daily)).weeks]
    for volume in volumes:
        findings += [*_gaps(volume), *_shift(volume)]
    return findings, delays, volumes


def _key(name: str) -> str:
    return "order_id" if name == "orders" else "customer_id"


def _without_strays(name: str, daily: dict[int, int]) -> tuple[dict[int, int], list[Finding]]:
    """The days without the few that lie far before or after all the others, such as a 1970-01-01 for "unknown"."""
    most, few = part_strays(daily)
    if not few:
        return daily, []
    before = few[0] < most[0]
    period = "begins after it" if before else "ends with it, and every cutoff is measured from there"
    found = Finding(
        "warning",
        name,
        str(TABLES[name].clock),
        "a time far from all the others",
        sum(daily[day] for day in few),
        sum(daily.values()),
        f"{_day(few[0])}, the others lie from {_day(most[0])} to {_day(most[-1])}",
        f"at most {STRAY_DAYS} days, or as many as the others span, without any row",
        f"Correct it, or leave the row out; the period that is learned from {period}.",
        "time",
    )
    return {day: daily[day] for day in most}, [found]


def _arrival(profile: Profile, name: str) -> tuple[list[Finding], list[Delay]]:
    """How late rows arrive, and which are known before they happened."""
    staged, clock = profile.conformed[name].staged, str(profile.conformed[name].contract.clock)
    if "ingested_at" not in staged.columns:
        return [], []
    micros, key = MICROSECONDS[profile.backend.name], _key(name)
    waited = staged.select(
        key=staged[key].fill_null(""), clock=staged[clock], wait=micros(staged.ingested_at) - micros(staged[clock])
    )
    early = waited.wait < -DAY_US
    row = _one(
        waited,
        {
            "rows": waited.wait.count(),
            "all": waited.count(),
            "quantiles": waited.wait.quantile([0.5, 0.9, 0.99, 1.0]),
            "early": early.sum(),
            "key": waited["key"].min(where=early),
            "at": waited["clock"].cast("string").argmin(waited["key"], where=early),
        },
    )
    if not row["rows"]:
        return [], []
    delay = Delay(name, row["rows"], *(float(q) / DAY_US for q in row["quantiles"]))
    if not row["early"] or name == "subscriptions":  # a subscription may be agreed on before it begins
        return [], [delay]
    found = Finding(
        "warning",
        name,
        clock,
        "a time more than a day after ingested_at",
        int(row["early"]),
        row["all"],
        f"{key} {row['key']!r} has {row['at']!r}",
        f"{clock} <= ingested_at",
        f"Correct {clock} or ingested_at: nothing is known before it happens.",
        "time",
    )
    return [found], [delay]


def _out_of_order(profile: Profile, name: str, later: dict[str, list[int]]) -> Iterator[Finding]:
    """Facts before the customer existed; adds to `later` how many facts lie before each time of the customer."""
    staged, clock, key = profile.conformed[name].staged, str(profile.conformed[name].contract.clock), _key(name)
    if "customers" not in profile.conformed:
        return
    customers = profile.conformed["customers"].staged
    times = [column for column in ("created_at", "ingested_at") if column in customers.columns]
    if not times:
        return
    known = customers.group_by("customer_id").aggregate(**{column: customers[column].min() for column in times})
    facts = staged.select("customer_id", key=staged[key].fill_null(""), at=staged[clock])
    rows = facts.join(known, "customer_id")
    measures: dict[str, ir.Value] = {}
    for column in times:
        before = rows["at"] < rows[column]
        measures |= {f"n_{column}": before.sum(), f"of_{column}": rows[column].count()}
        measures |= {f"key_{column}": rows["key"].min(where=before)}
        measures |= {f"at_{column}": rows["at"].cast("string").argmin(rows["key"], where=before)}
    row = _one(rows, measures)
    for column in times:
        counted = later.setdefault(column, [0, 0])
        counted[0] += int(row[f"n_{column}"] or 0)
        counted[1] += int(row[f"of_{column}"] or 0)
    if row.get("n_created_at"):
        yield Finding(
            "warning",
            name,
            clock,
            "a time before the customer's created_at",
            int(row["n_created_at"]),
            int(row["of_created_at"]),
            f"{key} {row['key_created_at']!r} has {row['at_created_at']!r}",
            f"{clock} >= customers.created_at",
            "Correct customers.created_at, or say when the relationship really began.",
            "time",
        )


def _later_than_most(later: dict[str, list[int]]) -> Iterator[Finding]:
    for column, (before, of) in later.items():
        if of and before / of > LATER_THAN_MOST:
            yield Finding(
                "warning",
                "customers",
                column,
                "later than most facts: it looks recorded after the outcome",
                0,
                0,
                f"{before:,} of {of:,} facts ({before / of:.0%}) before it",
                "a time before the customer's facts",
                f"Leave customers.{column} out, or fill it with when it was true: until then customers are not known.",
                "time",
            )


def _stale(days: dict[str, dict[int, int]]) -> Iterator[Finding]:
    """Tables that fell silent long before the others, by their own rhythm."""
    newest = max((max(daily) for daily in days.values()), default=0)
    for name, daily in days.items():
        seen = sorted(daily)
        gaps = np.diff(seen)
        silence = newest - seen[-1]
        if not len(gaps):
            continue
        usual, longest = float(np.median(gaps)), int(gaps.max())
        if silence > max(STALE_TIMES * usual, STALE_DAYS, longest):
            yield Finding(
                "warning",
                name,
                "",
                "a stale source",
                0,
                0,
                f"nothing since {_day(seen[-1])}, {silence} days or {silence / usual:,.0f} of its usual gaps before "
                "the profile's newest fact",
                f"silence up to {max(STALE_TIMES * usual, STALE_DAYS, longest):,.0f} days",
                f"Deliver {name} again, or leave the table out: what it does not say would be taken for silence.",
                "time",
            )


def _weekly(name: str, daily: dict[int, int]) -> Volume:
    first, last = min(daily), max(daily)
    weeks = np.zeros((last - first + 1) // 7, dtype=np.int64)
    for day, rows in daily.items():
        week = (day - first) // 7
        if week < len(weeks):
            weeks[week] += rows
    return Volume(name, _day(first), tuple(int(rows) for rows in weeks))


def _week(volume: Volume, number: int) -> str:
    first = (np.datetime64(volume.first) + 7 * number).astype(str)
    return str(first)


def _gaps(volume: Volume) -> Iterator[Finding]:
    weeks = np.array(volume.weeks)
    usual, empty = float(np.median(weeks)), np.flatnonzero(weeks == 0)
    if usual >= BUSY_WEEK and len(empty):
        yield Finding(
            "warning",
            volume.table,
            "",
            "weeks without any row in the middle of history",
            0,
            0,
            f"{len(empty)} of {len(weeks)} weeks, e.g. the one from {_week(volume, int(empty[0]))}",
            f"rows in every week (usually {usual:,.0f})",
            f"Deliver the missing rows of {volume.table}: customers would look as if they had stopped.",
            "time",
        )


def _shift(volume: Volume) -> Iterator[Finding]:
    """The largest break of level: the medians of the 8 weeks and of the 3 weeks beside it at least double or halve."""
    weeks = np.array(volume.weeks)
    shifts = [(size, i) for i in range(SIDE_WEEKS, len(weeks) - SIDE_WEEKS + 1) if (size := _shift_at(weeks, i)) > 0]
    if shifts:
        _, i = max(shifts)
        before, after = (float(np.median(side)) for side in (weeks[i - SIDE_WEEKS : i], weeks[i : i + SIDE_WEEKS]))
        yield Finding(
            "advice",
            volume.table,
            "",
            "a break in the volume of rows",
            0,
            0,
            f"about {before:,.0f} rows a week before {_week(volume, i)}, {after:,.0f} after it",
            f"a weekly level that does not change by a factor of {SHIFT_FACTOR:g} from one week to the next",
            "If the way of recording changed there, learn from later data only; if customers did, read on.",
            "time",
        )


def _shift_at(weeks: Weeks, i: int) -> float:
    """Factor by which the level changes at a week, 0 if it does not change clearly and at once."""
    sides = weeks[i - SIDE_WEEKS : i], weeks[i : i + SIDE_WEEKS]
    near = weeks[i - NEAR_WEEKS : i], weeks[i : i + NEAR_WEEKS]
    factors = [_factor(*(float(np.median(part)) for part in pair)) for pair in (sides, near)]
    rises = [float(np.median(pair[1]) - np.median(pair[0])) for pair in (sides, near)]
    noise = max(1.4826 * float(np.median(np.abs(side - np.median(side)))) for side in sides)
    noise = max(noise, float(np.sqrt(min(np.median(side) for side in sides))), 1.0)
    clear = min(factors) >= SHIFT_FACTOR and rises[0] * rises[1] > 0 and abs(rises[0]) > SHIFT_DEVIATIONS * noise
    return factors[0] if clear else 0.0


def _factor(before: float, after: float) -> float:
    return (max(before, after) + 1) / (min(before, after) + 1)


def _day(number: int) -> str:
    return (EPOCH + timedelta(days=number)).date().isoformat()


def _one(table: ir.Table, measures: dict[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = table.aggregate(**measures).to_pyarrow().to_pylist()[0]
    return row
