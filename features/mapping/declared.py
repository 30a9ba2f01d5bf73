"""`profile.yaml`: how a company's own tables become the contract's, as a person writes it down."""

import re
from typing import Literal, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from features.reading.source import Source, Strict, several

AT_ONCE = "at once"
"""Says of a time at which something became known that it is empty."""
Scalar: TypeAlias = str | bool | int | float | None

_TOKENS = {
    "YYYY": "%Y", "YY": "%y", "MMM": "%b", "MM": "%m", "M": "%m", "DD": "%d", "D": "%d", "HH": "%H", "H": "%H",
    "hh": "%I", "h": "%I", "mm": "%M", "ss": "%S", "SSS": "%f", "A": "%p", "Z": "%z",
}  # fmt: skip
_TOKEN = re.compile("|".join(sorted(_TOKENS, key=len, reverse=True)) + "|[A-Za-z%]")


def strptime_format(text: str) -> str:
    """Write a time format as the engine takes it.

    Raises
    ------
    ValueError
        If a letter of it stands for nothing.

    Examples
    --------
    >>> strptime_format("M/D/YYYY"), strptime_format("YYYY-MM-DDTHH:mm:ss")
    ('%m/%d/%Y', '%Y-%m-%dT%H:%M:%S')
    """

    def written(match: re.Match[str]) -> str:
        token = match.group()
        if token == "T":  # noqa: S105 - the T of ISO 8601
            return token
        if token not in _TOKENS:
            raise ValueError(f"{token!r} in {text!r}; allowed: {', '.join(_TOKENS)} and T, e.g. M/D/YYYY")
        return _TOKENS[token]

    return _TOKEN.sub(written, text)


def _at_once(value: object) -> object:
    return {"constant": None} if value == AT_ONCE else value


class Times(Strict):
    """How times are written.

    Parameters
    ----------
    formats : tuple of str
        Tried in order, such as ``M/D/YYYY``; without any, times are ISO 8601.
    zone : str or None
        Zone of times that do not name theirs, such as ``Europe/Berlin``; without it they are refused. Of a local time
        that the clock passed twice the later one is meant; one that it skipped counts from the offset before.
    """

    formats: tuple[str, ...] = ()
    zone: str | None = None

    _formats = field_validator("formats", mode="before")(several)

    @field_validator("formats")
    @classmethod
    def _readable(cls, formats: tuple[str, ...]) -> tuple[str, ...]:
        for text in formats:
            strptime_format(text)
        return formats

    @field_validator("zone")
    @classmethod
    def _known(cls, zone: str | None) -> str | None:
        try:
            ZoneInfo(zone or "UTC")
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("allowed: a zone of the tz database, such as UTC or Europe/Berlin") from None
        return zone

    @model_validator(mode="after")
    def _zoned(self) -> "Times":
        if self.zone is None and any("Z" not in text for text in self.formats):
            raise ValueError("formats without Z need a zone, such as zone: UTC")
        return self


class Scale(Strict):
    """The scale a survey was answered on.

    Parameters
    ----------
    low, high : int
        Lowest and highest answer.
    rule : {"linear"} or None
        How answers on a scale other than the contract's are carried over: in proportion, to the nearest whole number,
        halves up. Without a rule another scale is refused.
    """

    low: int
    high: int
    rule: Literal["linear"] | None = None

    @model_validator(mode="after")
    def _ordered(self) -> "Scale":
        if self.low >= self.high:
            raise ValueError("allowed: low < high")
        return self


class ColumnMapping(Strict):
    """Where one column comes from.

    Parameters
    ----------
    from_ : str or None
        A column of the source, or an expression of its columns.
    constant : str, number, bool or None
        The same value in every row.
    alias : str or None
        For `customer_id`: an expression that gives another id, resolved by `identities` as of the row's own time.
    times : Times or None
        How this column's times are written, where they differ from the rest of the file.
    categories : tuple of str
        The values that a text may have; any other becomes ``other``.
    scale : Scale or None
        For `surveys.score`: the scale it was answered on.
    known_from : ColumnMapping or None
        For an attribute of `customers`: since when it is known, where that is not since its row is, or ``at once``.
        Before, it is empty to every prediction; what it was then, if it was overwritten, nobody can tell. Becomes
        `<attribute>_known_from`.
    """

    from_: str | None = Field(default=None, alias="from")
    constant: Scalar = None
    alias: str | None = None
    times: Times | None = None
    categories: tuple[str, ...] = ()
    scale: Scale | None = None
    known_from: "ColumnMapping | None" = None

    _known_from = field_validator("known_from", mode="before")(_at_once)

    @model_validator(mode="before")
    @classmethod
    def _short(cls, data: object) -> object:
        if isinstance(data, str):
            return {"from": data}
        return {"constant": data} if data is None or isinstance(data, bool | int | float) else data

    @model_validator(mode="after")
    def _one_origin(self) -> "ColumnMapping":
        if len(self.model_fields_set & {"from_", "constant", "alias"}) != 1:
            raise ValueError("allowed: exactly one of from, constant, alias")
        return self


class Part(Strict):
    """One source of a table.

    Parameters
    ----------
    from_ : str
        Name of the source.
    join : mapping of str to str or mapping
        Further sources that add columns, each by a column of the same name in both, or by {ours: theirs}.
    where : str or None
        Only rows for which this is true.
    exact_duplicates : {"keep", "drop"}
        What happens to rows of the source that are equal in every column.
    columns : mapping of str to ColumnMapping
        The contract's columns.
    known_from : ColumnMapping or None
        When a row could first be known, or ``at once``: becomes `ingested_at`.
    """

    from_: str = Field(alias="from")
    join: dict[str, str | dict[str, str]] = Field(default_factory=dict)
    where: str | None = None
    exact_duplicates: Literal["keep", "drop"] = "keep"
    columns: dict[str, ColumnMapping] = Field(min_length=1)
    known_from: ColumnMapping | None = None

    _known_from = field_validator("known_from", mode="before")(_at_once)


class Deduplicate(Strict):
    """Rows that say the same thing again.

    Parameters
    ----------
    by : tuple of str
        Columns of the contract; of the rows equal in all of them one is kept.
    keep : {"first", "last"}
        The one known first or last.
    """

    by: tuple[str, ...] = Field(min_length=1)
    keep: Literal["first", "last"] = "first"

    _by = field_validator("by", mode="before")(several)


class TableMapping(Strict):
    """One table of the contract: a part, or a union of several.

    Parameters
    ----------
    union : tuple of Part
        The parts; a table of one source is written without the word.
    deduplicate : Deduplicate or None
        Which rows say the same thing.
    returns : {"flag", "negative"}
        Whether `is_return` says what gives money back, or a negative value does.
    collapse : {"order_id", "day"} or None
        Lines that are added up into one order, or a customer's orders of one UTC day into one.
    """

    union: tuple[Part, ...] = Field(min_length=1)
    deduplicate: Deduplicate | None = None
    returns: Literal["flag", "negative"] = "flag"
    collapse: Literal["order_id", "day"] | None = None

    @model_validator(mode="before")
    @classmethod
    def _short(cls, data: object) -> object:
        if not isinstance(data, dict) or "union" in data:
            return data
        own = {name: data[name] for name in ("deduplicate", "returns", "collapse") if name in data}
        return {**own, "union": [{name: value for name, value in data.items() if name not in own}]}


class Currency(Strict):
    """One currency for all amounts of the profile.

    Every part of a table that maps an amount says its `currency`, as a column or a constant. An amount is converted at
    the last rate before the row's clock, of a customer before `created_at`.

    Parameters
    ----------
    target : str
        ISO 4217 code of the currency wanted.
    rates : str
        Name of the source with the rates.
    code, day, rate : str
        Its columns: the currency, from when on, and how much of the target one unit is worth.
    times : Times or None
        How `day` is written.
    """

    target: str
    rates: str
    code: str = "currency"
    day: str = "day"
    rate: str = "rate"
    times: Times | None = None


class Mapping(Strict):
    """A whole `profile.yaml`.

    Parameters
    ----------
    sources : mapping of str to Source
        Where rows come from, by a name of one's own.
    tables : mapping of str to TableMapping
        The contract's tables.
    times : Times
        How times are written unless a column says otherwise.
    currency : Currency or None
        The rate table.
    labels : Part or None
        Outcomes known from elsewhere, beside `customer_id`; no feature can see them.
    broken_rows : {"refuse", "quarantine"}
        What happens to rows that break the contract.
    """

    sources: dict[str, Source] = Field(min_length=1)
    tables: dict[str, TableMapping] = Field(min_length=1)
    times: Times = Times()
    currency: Currency | None = None
    labels: Part | None = None
    broken_rows: Literal["refuse", "quarantine"] = "refuse"
