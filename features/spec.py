"""What a feature is: a named, typed, described function of the snapshot, declared once."""

import hashlib
import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, get_args

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from features.contract import MONEY_SCALE, MONEY_TYPE
from features.errors import FeatureDeclarationError, MissingColumn, listed
from features.instants import DAY_US, to_us
from features.snapshot import RELATIONS, TABLE_OF

Dtype = Literal["float64", "int64", "bool", "string"]
UNITS = (
    "days", "order_days", "orders", "returns", "items", "events", "contacts", "points", "surveys", "subscriptions",
    "channels", "categories", "touchpoints", "currency", "score", "ratio", "share", "nats", "flag", "name",
    "attribute",
)  # fmt: skip


STAMP_WIDTH, LAST_WHOLE_LIMIT = 20, 1000
CLOCKS = {"surveys": "sent_at", "subscriptions": "started_at", "subscription_terms": "started_at"}
HOUR_US, FIRST_WEEKDAY = DAY_US // 24, 3  # 1970-01-01 was a Thursday
MOST_EXACT, LOG_UNITS = 1e14, 2.0**30
FIRST_US = to_us(datetime.min.replace(tzinfo=UTC))
"""The first instant there is, so that stamps counted from it are never negative."""


@dataclass(frozen=True)
class Window:
    """A look-back of `days` days that ends at the prediction time, or `until_days` before it.

    Half-open: ``[prediction_time - days, prediction_time - until_days)``.
    """

    days: int
    until_days: int = 0


_BY_WHOLE = ((dt.Decimal(38, MONEY_SCALE), dt.int64), dt.Decimal(38, MONEY_SCALE))


@ibis.udf.agg.builtin(name="min_by", signature=_BY_WHOLE)
def amount_of_least(amount, whole):  # type: ignore[no-untyped-def]
    """Amount where a whole number is least; every engine's own function, without sorting as `argmin` does on DuckDB."""


@ibis.udf.agg.builtin(name="max_by", signature=_BY_WHOLE)
def amount_of_greatest(amount, whole):  # type: ignore[no-untyped-def]
    """Amount where a whole number is greatest."""


class Facts:
    """One relation of the snapshot, as a feature function sees it.

    Columns are attributes; instants are whole microseconds. Reductions that Patron needs to be exact on every
    engine (amounts, counts) have methods here.
    """

    def __init__(self, relation: ir.Table, source: str) -> None:
        self._relation = relation
        self._source = source

    def __getattr__(self, column: str) -> Any:
        """Return a column.

        Raises
        ------
        MissingColumn
            If this profile's table does not have it.
        """
        if column.startswith("__"):
            raise AttributeError(column)
        return self.column(column)

    def column(self, name: str) -> Any:
        """Return a column whose name is not known beforehand; it may be that of a method.

        Raises
        ------
        MissingColumn
            If this profile's table does not have it.
        """
        if name not in self._relation.columns:
            raise MissingColumn(TABLE_OF.get(self._source, self._source), name)
        return self._relation[name]

    @property
    def age(self) -> Any:
        """Microseconds from each fact to the prediction time."""
        clock = CLOCKS.get(self._source, "event_time")
        return self._relation.prediction_time - self._relation[clock]

    def within(self, window: Window) -> Any:
        """Whether each fact happened in the window."""
        inside = self.age <= window.days * DAY_US
        return inside & (self.age > window.until_days * DAY_US) if window.until_days else inside

    def count(self, where: Any = None) -> Any:
        """Number of facts."""
        return self._relation.count(where=where)

    def total(self, amount: Any, where: Any = None) -> Any:
        """Exact sum of an amount, then a float; 0 over no facts."""
        return amount.sum(where=where).cast("float64").fill_null(0.0)

    def mean(self, amount: Any, where: Any = None) -> Any:
        """Exact sum over exact count; null over no facts."""
        return amount.sum(where=where).cast("float64") / amount.count(where=where).nullif(0)

    @property
    def first_value(self) -> Any:
        """Amount of the first of a customer's order days; cheaper than to look at each day's gap."""
        return amount_of_least(self.value, self.day)

    @property
    def last_value(self) -> Any:
        """Amount of the last of a customer's order days."""
        return amount_of_greatest(self.value, self.day)

    def share(self, part: Any, of: Any = None) -> Any:
        """Number of facts that are so over the number of facts; null over no facts."""
        whole = self.count(where=of)
        return self.count(where=part if of is None else part & of).cast("float64") / whole.nullif(0)

    def exact(self, number: Any) -> Any:
        """A number as an exact amount of four decimals, so that sums do not depend on the order; null beyond 10^14."""
        return (number.abs() < MOST_EXACT).ifelse(number, None).cast(MONEY_TYPE)

    @property
    def weekday(self) -> Any:
        """Weekday of each fact in UTC, Monday 0."""
        return _remainder(self._relation.event_time // DAY_US + FIRST_WEEKDAY, 7)

    @property
    def hour(self) -> Any:
        """Hour of the day of each fact in UTC."""
        return _remainder(self._relation.event_time, DAY_US) // HOUR_US

    def days_to_prediction(self, instant: Any) -> Any:
        """Days from a reduced instant (such as the last event) to the prediction time."""
        return (self._relation.prediction_time.max() - instant).cast("float64") / DAY_US

    def last_text(self, text: Any, instant: Any) -> Any:
        """Text of the latest fact; of several at one instant the last in the alphabet, whatever their order."""
        stamped = (instant - FIRST_US).cast("string").lpad(STAMP_WIDTH, "0") + text
        return stamped.max(where=text.notnull()).substr(STAMP_WIDTH)

    def first_text(self, text: Any, instant: Any) -> Any:
        """Text of the earliest fact; of several at one instant the first in the alphabet, whatever their order."""
        stamped = (instant - FIRST_US).cast("string").lpad(STAMP_WIDTH, "0") + text
        return stamped.min(where=text.notnull()).substr(STAMP_WIDTH)

    def top_text(self, text: Any, weight: Any) -> Any:
        """Text with the greatest whole weight; of several the last in the alphabet."""
        stamped = weight.cast("string").lpad(STAMP_WIDTH, "0") + text
        return stamped.max(where=text.notnull()).substr(STAMP_WIDTH)

    def entropy(self, counts: Any) -> Any:
        """Shannon entropy, in nats, of facts that fall into groups of these sizes; exactly 0 for one group.

        ``ln N - sum(n ln n) / N`` in whole units of 2^-30, so that the sum is exact in any order and on any engine.
        """
        total = counts.sum().nullif(0)
        terms = (counts * log_units(counts)).sum()
        return ibis.greatest((log_units(total) - terms / total) / LOG_UNITS, 0.0)

    def last_whole(self, whole: Any, instant: Any, where: Any) -> Any:
        """Whole number from 0 to 999 of the latest fact; of several at one instant the greatest."""
        last = (instant * LAST_WHOLE_LIMIT + whole).max(where=where & whole.notnull())
        return (last % LAST_WHOLE_LIMIT + LAST_WHOLE_LIMIT) % LAST_WHOLE_LIMIT  # before 1970 the remainder is negative


def log_units(whole: Any) -> Any:
    """Natural logarithm of a whole number in units of 2^-30: the last bits of a float's differ between libraries."""
    return (whole.cast("float64").ln() * LOG_UNITS).round().cast("int64")


def _remainder(whole: Any, divisor: int) -> Any:
    """Remainder that is never negative, also of times before 1970."""
    return ((whole % divisor) + divisor) % divisor


Build = Callable[..., Any]


@dataclass(frozen=True)
class Feature:
    """One column of a feature table.

    Parameters
    ----------
    name : str
        The column.
    source : str or tuple of Feature
        The relation it reduces, or the features it is computed from.
    dtype : {"float64", "int64", "bool", "string"}
        Type of the column.
    unit : str
        One of `UNITS`.
    description : str
        What it says about a customer, in one sentence.
    build : callable
        From `Facts` (or the source features' columns) to an Ibis expression.
    nullable : bool
        Whether it may be null; otherwise a customer without facts gets 0 (False, for flags).
    minimum, maximum : float or None
        Bounds that every value keeps.
    version : int
        Rises whenever what it computes changes.
    detail : str
        What it was made for, where the name does not say it all: the condition that it counts.
    """

    name: str
    source: "str | tuple[Feature, ...]"
    dtype: Dtype
    unit: str
    description: str
    build: Build
    nullable: bool = False
    minimum: float | None = None
    maximum: float | None = None
    version: int = 1
    detail: str = ""

    def __post_init__(self) -> None:
        """Refuse a declaration that could not be explained to a reader of the catalogue."""
        if isinstance(self.source, str) and self.source not in RELATIONS:
            raise FeatureDeclarationError(
                self.name, f"unknown source {self.source!r}", listed(RELATIONS, 20), "Name a relation of the snapshot."
            )
        if self.dtype not in get_args(Dtype):
            raise FeatureDeclarationError(
                self.name, f"unknown dtype {self.dtype!r}", listed(get_args(Dtype)), "Choose one of them."
            )
        if self.unit not in UNITS:
            raise FeatureDeclarationError(
                self.name, f"unknown unit {self.unit!r}", listed(UNITS, 20), "Choose one, or add the new unit to UNITS."
            )
        if not self.description:
            raise FeatureDeclarationError(
                self.name, "no docstring", "one sentence", "Say in the docstring what the feature tells."
            )

    @property
    def sources(self) -> "tuple[Feature, ...]":
        """The features it is computed from; empty when it reduces a relation."""
        return () if isinstance(self.source, str) else self.source

    def identity(self) -> list[Any]:
        """What makes two features the same to a model."""
        made_for = [self.detail] if self.detail else []
        sources = [feature.identity() for feature in self.sources]
        return [self.name, self.dtype, self.unit, self.version, sources, *made_for]


def _description(function: Build) -> str:
    return (inspect.getdoc(function) or "").split("\n\n")[0].replace("\n", " ")


def feature(
    *,
    source: str | tuple[Feature, ...],
    dtype: Dtype,
    unit: str,
    nullable: bool = False,
    minimum: float | None = None,
    maximum: float | None = None,
    version: int = 1,
) -> Callable[[Build], Feature]:
    """Declare a feature: the function's name is the column, its docstring the description.

    Parameters
    ----------
    source, dtype, unit, nullable, minimum, maximum, version
        See `Feature`.

    Returns
    -------
    callable
        A decorator that turns the function into a `Feature`.
    """

    def declare(function: Build) -> Feature:
        return Feature(
            function.__name__,
            source,
            dtype,
            unit,
            _description(function),
            function,
            nullable,
            minimum,
            maximum,
            version,
        )

    return declare


def windowed(
    *days: int,
    source: str,
    dtype: Dtype,
    unit: str,
    nullable: bool = False,
    minimum: float | None = None,
    maximum: float | None = None,
    version: int = 1,
) -> Callable[[Build], tuple[Feature, ...]]:
    """Declare one feature a window: ``order_count`` over 30 and 90 gives ``order_count_30d``, ``order_count_90d``.

    Parameters
    ----------
    *days : int
        The windows' lengths.
    source, dtype, unit, nullable, minimum, maximum, version
        See `Feature`.

    Returns
    -------
    callable
        A decorator that turns the function of (facts, window) into a tuple of `Feature`.
    """

    def declare(function: Build) -> tuple[Feature, ...]:
        said = _description(function).rstrip(".")

        def over(length: int) -> Feature:
            return Feature(
                f"{function.__name__}_{length}d",
                source,
                dtype,
                unit,
                f"{said}, in the {length} days before the prediction time." if said else "",
                lambda facts: function(facts, Window(length)),
                nullable,
                minimum,
                maximum,
                version,
            )

        return tuple(over(length) for length in days)

    return declare


@dataclass(frozen=True)
class FeatureSet:
    """A named, versioned, ordered tuple of features; one that a registered model uses is never edited.

    Parameters
    ----------
    name : str
        What it is for.
    version : int
        Rises with every change of the tuple.
    features : tuple of Feature
        In the order of the model's columns.
    """

    name: str
    version: int
    features: tuple[Feature, ...]

    def __post_init__(self) -> None:
        """Refuse a name that stands twice."""
        names = self.names
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise FeatureDeclarationError(
                self.name, f"{listed(twice)} stand(s) twice in the set", "each feature once", "Remove the repetition."
            )

    @property
    def names(self) -> tuple[str, ...]:
        """The columns, in order."""
        return tuple(feature.name for feature in self.features)

    @property
    def fingerprint(self) -> str:
        """Hash of names, dtypes, units and versions in order: equal fingerprints mean equal columns."""
        text = json.dumps([feature.identity() for feature in self.features], separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def only(self, names: tuple[str, ...]) -> "FeatureSet":
        """The same set with the named features only, in the same order."""
        return FeatureSet(self.name, self.version, tuple(f for f in self.features if f.name in names))
