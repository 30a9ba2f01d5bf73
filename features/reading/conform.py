"""From a table as it was found to the contract's columns and types, with every broken row named.

Types are never guessed: a column either is what the contract says, or can be read as such without loss, or is
refused. Reading happens in the engine, so a table of any size is conformed without leaving it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from features.attributes import finite, own_names, read_own
from features.contract import KIND_WORDS, MONEY_TYPE, SURVEY_SCALES, Column, Kind, TableContract
from features.errors import listed
from features.finding import Step

UTC_TYPE = "timestamp('UTC')"
READABLE = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)
"""First and last instant that every engine and Python can hold, in any time zone."""
CLOCK_YEARS = 1900, 2199
AHEAD = timedelta(days=1)  # a clock that names the wrong zone runs ahead
UTC_WORDS = ("Z", "UTC", "+00", "+0000", "+00:00", "-00", "-0000", "-00:00")
OFFSET = r"[0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)? *(Z|UTC|[+-][0-9]{2}(:?[0-9]{2})?)$"
_RAW = "__raw"
UNREADABLE: dict[Kind, str] = {
    "money": "a value that is not a finite amount below 10^14",
    "number": "a value that is not a finite number",
    "score": "a value that is not a whole number",
    "instant": "a value that is not a time of the years 1 to 9999",
    "flag": "a value that is neither true nor false",
}
PLANNED = ("started_at", "ended_at", "term_ends_at", "valid_from", "valid_to")
"""Times that may be agreed on before they come."""
TRUE_WORDS, FALSE_WORDS = ("true", "t", "1", "yes"), ("false", "f", "0", "no")
YES_WORDS, NO_WORDS = (*TRUE_WORDS, "y", "1.0"), (*FALSE_WORDS, "n", "0.0")
"""How a label may say that something happened; files that nobody made for Patron say it in more ways than flags."""


@dataclass(frozen=True)
class Rule:
    """Something that must not be true of a row.

    Parameters
    ----------
    column : str
        The column at fault.
    name : str
        What is wrong with it, as it reads after a number of rows: "rows have no value".
    broken : ibis boolean column
        True where the rule is broken, over the staged table.
    found : ibis string column
        The offending value as text.
    allowed, remedy : str
        What may stand there instead and what to do.
    step : str
        What the rule is about.
    """

    column: str
    name: str
    broken: ir.BooleanValue
    found: ir.StringValue
    allowed: str
    remedy: str
    step: Step = "rows"


@dataclass(frozen=True)
class Conformed:
    """A table read as the contract says.

    Parameters
    ----------
    contract : TableContract
        What the table is.
    staged : ibis table
        Typed columns, with the source text kept under ``<column>__raw`` where reading can fail row by row.
    rules : tuple of Rule
        Row rules over `staged`.
    offsets : dict of str to ibis string column
        For instants that came as text: the time-zone offset of each row.
    kept : ibis table
        The same columns of a table that breaks no rule, without making sure of it once more in every query.
    now : datetime or None
        When it is read: no fact happens later. Without it nobody asks.
    """

    contract: TableContract
    staged: ir.Table
    rules: tuple[Rule, ...]
    offsets: dict[str, ir.StringValue]
    kept: ir.Table
    now: datetime | None = None

    @property
    def typed(self) -> ir.Table:
        """The contract's columns, and the company's own of its customers."""
        return _typed(self.staged)

    def as_read(self, column: str) -> ir.StringValue:
        """The text of a column as the source has it."""
        return self.staged[f"{column}{_RAW}"]

    def happened(self) -> Any:
        """Whether the time of a fact is one at which it can have happened, rather than a slip or still to come."""
        at = self.staged[str(self.contract.clock)]
        years = at.year().between(*CLOCK_YEARS)
        return years & (at <= self.now + AHEAD) if self.now else years


def wrong_type(contract: TableContract, column: Column, dtype: dt.DataType) -> tuple[str, str, str] | None:
    """Say why a whole column cannot be what the contract says.

    Returns
    -------
    tuple of str or None
        (what was found, what is allowed, what to do), or None when the type fits.
    """
    found = f"type {dtype}"
    allowed = KIND_WORDS[column.kind]
    fix = f"Write {contract.name}.{column.name} as {allowed}."
    if dtype.is_string():
        return None
    match column.kind:
        case "id":
            fits = dtype.is_integer()
        case "instant":
            if (dtype.is_timestamp() and dtype.timezone is None) or dtype.is_date():
                return (
                    f"{found}, without a time zone",
                    "timestamps with their time zone (UTC)",
                    f"Localise {contract.name}.{column.name} to UTC before writing it.",
                )
            fits = dtype.is_timestamp()
        case "money" | "number" | "score":
            fits = dtype.is_numeric() and not dtype.is_boolean()
        case "flag":
            fits = dtype.is_boolean() or dtype.is_integer()
        case "text":
            fits = dtype.is_integer() or dtype.is_boolean()
    return None if fits else (found, allowed, fix)


def settle(raw: ir.Table) -> ir.Table:
    """Give columns of types that Ibis cannot name the nearest it can: no type is text, nanoseconds microseconds."""
    casts: dict[str, str] = {}
    for name, dtype in raw.schema().items():
        engine_type = str(getattr(dtype, "raw_type", "")).strip('"')
        if dtype.is_null() or engine_type == "NULL":
            casts[name] = "string"
        elif engine_type == "TIMESTAMPTZ_NS":
            casts[name] = UTC_TYPE
    return raw.cast(casts) if casts else raw


def _read_kept(raw: ir.Value, column: Column) -> ir.Value:
    """Read a column that breaks no rule: what holds instants holds none that would have to be left out."""
    return raw.cast(UTC_TYPE) if column.kind == "instant" and not raw.type().is_string() else READERS[column.kind](raw)


def _read_text(raw: Any) -> Any:
    return raw.cast("string").nullif("")


def _read_instant(raw: Any) -> Any:
    text = raw.type().is_string()
    instant = raw.re_search(OFFSET).ifelse(raw, None).try_cast(UTC_TYPE) if text else raw.cast(UTC_TYPE)
    return instant.between(*READABLE).ifelse(instant, None)


def _read_money(raw: Any) -> Any:
    """Exact amounts; text goes through a float, as numbers in a request do, so that all paths round alike."""
    if raw.type().is_string() or raw.type().is_floating():
        return _read_number(raw).try_cast(MONEY_TYPE)
    return raw.try_cast(MONEY_TYPE)


def _read_number(raw: Any) -> Any:
    return finite(raw.try_cast("float64"))


def _read_score(raw: Any) -> Any:
    number = _read_number(raw)
    return (number == number.floor()).ifelse(number, None).try_cast("int64")


def _read_flag(raw: Any, yes: Sequence[str] = TRUE_WORDS, no: Sequence[str] = FALSE_WORDS) -> Any:
    if raw.type().is_boolean():
        return raw
    if raw.type().is_string():
        word = raw.lower()
        return ibis.cases((word.isin(yes), True), (word.isin(no), False), else_=None)
    return ibis.cases((raw == 1, True), (raw == 0, False), else_=None)


def read_label(raw: Any) -> Any:
    """Whether a label says that it happened; null where it says nothing."""
    return _read_flag(raw, YES_WORDS, NO_WORDS)


READERS: dict[Kind, Callable[[Any], Any]] = {
    "id": _read_text,
    "text": _read_text,
    "instant": _read_instant,
    "money": _read_money,
    "number": _read_number,
    "score": _read_score,
    "flag": _read_flag,
}


def conform(raw: ir.Table, contract: TableContract, now: datetime | None = None) -> Conformed:
    """Read a table as the contract says, keeping what was found beside what could be read.

    Parameters
    ----------
    raw : ibis table
        The table as found; its column types have passed `wrong_type`.
    contract : TableContract
        What it should be.
    now : datetime, optional
        When it is read.

    Returns
    -------
    Conformed
        The typed table, lazily, with the rules that a row may break.
    """
    present = [column for column in contract.columns if column.name in raw.columns]
    typed = {column.name: READERS[column.kind](raw[column.name]) for column in present}
    own = {}
    if contract.name == "customers":
        own = {name: read_own(raw[name]) for name in own_names(raw) if not name.endswith(_RAW)}
    kept = {f"{column.name}{_RAW}": raw[column.name].cast("string") for column in present}
    textual = [c.name for c in present if c.kind == "instant" and raw[c.name].type().is_string()]
    unchecked = raw.select(**{column.name: _read_kept(raw[column.name], column) for column in present}, **own)
    return replace(_conformed(contract, raw.select(**typed, **own, **kept), textual, now), kept=unchecked)


def rest(conformed: Conformed, rows: ir.Table) -> Conformed:
    """Put some of a table's rows in its place, such as those that are left after quarantine.

    Parameters
    ----------
    conformed : Conformed
        The whole table.
    rows : ibis table
        With the columns of ``conformed.staged``.
    """
    return _conformed(conformed.contract, rows, conformed.offsets, conformed.now)


def _typed(staged: ir.Table) -> ir.Table:
    return staged.select([name for name in staged.columns if not name.endswith(_RAW)])


def _conformed(contract: TableContract, staged: ir.Table, textual: Iterable[str], now: datetime | None) -> Conformed:
    offsets = {name: _offset(staged[f"{name}{_RAW}"]) for name in textual}
    return Conformed(contract, staged, tuple(_rules(contract, staged, offsets, now)), offsets, _typed(staged), now)


def _offset(text: Any) -> Any:
    """Offset of a time written as text, every way to write UTC as Z; null without one."""
    offset = text.re_extract(OFFSET, 3).nullif("")
    return offset.isin(UTC_WORDS).ifelse("Z", offset)


def _rules(
    contract: TableContract, staged: ir.Table, offsets: dict[str, ir.StringValue], now: datetime | None
) -> Iterator[Rule]:
    for column in contract.columns:
        if column.name in staged.columns:
            yield from _column_rules(contract, column, staged, column.name in offsets)
    yield from _table_rules(contract, staged, now)


def _column_rules(contract: TableContract, column: Column, staged: ir.Table, textual: bool) -> Iterator[Rule]:
    value, raw = staged[column.name], staged[f"{column.name}{_RAW}"]
    where = f"{contract.name}.{column.name}"
    empty = raw.isnull() | (raw == "")
    if not column.nullable:
        yield Rule(column.name, "no value", empty, raw, KIND_WORDS[column.kind], f"Fill {where}.")
    if column.kind == "instant" and textual:
        naive = ~empty & ~raw.re_search(OFFSET) & raw.try_cast("timestamp").notnull()
        yield Rule(
            column.name,
            "no time zone",
            naive,
            raw,
            "ISO 8601 times with an offset, such as 1997-10-01T00:00:00Z",
            f"Write {where} in UTC.",
            "types",
        )
        unreadable = ~empty & value.isnull() & ~naive
    else:
        unreadable = ~empty & value.isnull()
    if column.kind not in ("id", "text"):
        words, remedy = KIND_WORDS[column.kind], f"Correct {where}."
        yield Rule(column.name, UNREADABLE[column.kind], unreadable, raw, words, remedy, "types")
    if column.minimum is not None:
        low = (value < column.minimum).fill_null(False)
        yield Rule(column.name, "a value too low", low, raw, f">= {column.minimum:g}", f"Correct {where}.")


def _table_rules(contract: TableContract, staged: ir.Table, now: datetime | None) -> Iterator[Rule]:
    """Rules that belong to a table rather than to the kind of a column."""
    if contract.clock:
        yield _clock_rule(contract, staged)
    if now:
        yield from _future_rules(contract, staged, now)
    match contract.name:
        case "orders":
            returned = staged.is_return.fill_null(False) if "is_return" in staged.columns else ibis.literal(False)
            negative = ((staged.value < 0) & ~returned).fill_null(False)
            yield Rule(
                "value",
                "a negative value without is_return",
                negative,
                staged[f"value{_RAW}"],
                ">= 0, or is_return = true on the row that gives money back",
                "Mark refunds with is_return.",
            )
        case "surveys":
            yield from _survey_rules(staged)
        case "subscriptions":
            if "ended_at" in staged.columns:
                yield _order_rule(staged, "started_at", "ended_at")
        case "identities":
            if "valid_to" in staged.columns:
                yield _order_rule(staged, "valid_from", "valid_to")


def _clock_rule(contract: TableContract, staged: ir.Table) -> Rule:
    """Facts far in the past or the future are slips, and would move the period that a profile covers."""
    clock, (first, last) = str(contract.clock), CLOCK_YEARS
    outside = ~staged[clock].year().between(first, last)
    return _slip(contract, staged, clock, f"a time outside the years {first} to {last}", outside, f"{first} to {last}")


def _future_rules(contract: TableContract, staged: ir.Table, now: datetime) -> Iterator[Rule]:
    for name in (column.name for column in contract.columns if column.kind == "instant"):
        if name in staged.columns and name not in PLANNED:
            ahead = (staged[name] > now + AHEAD) & staged[name].year().between(*CLOCK_YEARS)
            yield _slip(contract, staged, name, "a time in the future", ahead, f"until {now:%Y-%m-%d}")


def _slip(contract: TableContract, staged: ir.Table, column: str, name: str, broken: Any, allowed: str) -> Rule:
    remedy = f"Correct {contract.name}.{column}, or leave the row out."
    return Rule(column, name, broken.fill_null(False), staged[f"{column}{_RAW}"], allowed, remedy, "time")


def _survey_rules(staged: ir.Table) -> Iterator[Rule]:
    known = staged.metric.isin(list(SURVEY_SCALES))
    yield Rule(
        "metric",
        "an unknown metric",
        (staged.metric.notnull() & ~known).fill_null(False),
        staged.metric,
        listed(SURVEY_SCALES),
        "Correct surveys.metric.",
    )
    if "score" in staged.columns:
        scales = [
            (staged.metric == metric) & ~staged.score.between(low, high)
            for metric, (low, high) in SURVEY_SCALES.items()
        ]
        off = ibis.or_(*scales).fill_null(False)
        allowed = ", ".join(f"{metric} {low}-{high}" for metric, (low, high) in SURVEY_SCALES.items())
        yield Rule("score", "a score off its scale", off, staged[f"score{_RAW}"], allowed, "Correct surveys.score.")
        answered = staged.responded_at.notnull() if "responded_at" in staged.columns else ibis.literal(False)
        yield Rule(
            "score",
            "a score without responded_at",
            staged.score.notnull() & ~answered,
            staged[f"score{_RAW}"],
            "a score only with the time of the answer",
            "Fill surveys.responded_at, or leave the score empty where nobody answered.",
        )
    if "responded_at" in staged.columns:
        yield _order_rule(staged, "sent_at", "responded_at")


def _order_rule(staged: ir.Table, first: str, then: str) -> Rule:
    return Rule(
        then,
        f"a time before {first}",
        (staged[then] < staged[first]).fill_null(False),
        staged[f"{then}{_RAW}"],
        f"{then} >= {first}",
        f"Correct {first} or {then}.",
        "time",
    )
