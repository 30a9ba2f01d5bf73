"""What the service takes, field by field; facts have the names and rules of the profile contract."""

import re
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from features.contract import SURVEY_SCALES, dates_of
from features.errors import AttributeUnusable, InstantUnreadable, listed
from features.instants import read_instant
from features.reading.conform import CLOCK_YEARS

MOST_CUSTOMERS = 1_000
MOST_FACTS = 10_000
MOST_VALUE = 1e14
TIME = re.compile(r"\d{4}-\d{2}-\d{2}[T ]")

Id = Annotated[str, Field(min_length=1, max_length=256)]
Text = Annotated[str, Field(max_length=10_000)]
Money = Annotated[float, Field(gt=-MOST_VALUE, lt=MOST_VALUE)]
Amount = Annotated[float, Field(ge=0, lt=MOST_VALUE)]


def _read_date(value: object) -> datetime:
    """Read a date as every date that a person gives is read; a number is no date."""
    if isinstance(value, datetime):
        return value
    try:
        return read_instant(value if isinstance(value, str) else "")
    except InstantUnreadable:
        raise ValueError("allowed: an ISO 8601 time with its offset, or a date, which is midnight UTC") from None


def _read_time(value: object) -> object:
    """Let through what may be the time of a fact: as in the batch job neither dates nor seconds since 1970."""
    if isinstance(value, datetime) or (isinstance(value, str) and TIME.match(value)):
        return value
    raise ValueError("allowed: an ISO 8601 time with its offset, such as 1997-10-01T12:00:00+00:00")


def _within_years(value: datetime) -> datetime:
    first, last = CLOCK_YEARS
    if not first <= value.astimezone(UTC).year <= last:
        raise ValueError(f"allowed: a time of the years {first} to {last}")
    return value


Instant = Annotated[AwareDatetime, BeforeValidator(_read_time)]
Clock = Annotated[Instant, AfterValidator(_within_years)]
PredictionTime = Annotated[AwareDatetime, BeforeValidator(_read_date)]
KNOWN_FROM_TYPE: TypeAdapter[datetime | None] = TypeAdapter(Instant | None)


class Strict(BaseModel):
    """Base of everything received: unknown keys, NaN and infinities are errors, and errors do not repeat the input."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True, coerce_numbers_to_str=True
    )


class Fact(Strict):
    """A row that belongs to the profile's customer; `customer_id` may be repeated, and must then be the same."""

    customer_id: Id | None = None
    ingested_at: Instant | None = None


class Customer(Strict):
    """Who the customer is; further attributes are read where a model learned from a table that has them.

    Beside any attribute may stand since when it is known, `tier_known_from`: before, it is empty.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, str | bool | float | None]

    customer_id: Id
    created_at: Instant | None = None
    ingested_at: Instant | None = None
    acquisition_channel: Text | None = None
    acquisition_cost: Amount | None = None
    currency: Text | None = None
    region: Text | None = None
    age_band: Text | None = None
    gender: Text | None = None
    income_band: Text | None = None
    company_size: Text | None = None
    industry: Text | None = None
    tier: Text | None = None


class Order(Fact):
    """One order, or with `is_return` what an order gave back."""

    order_id: Id
    event_time: Clock
    value: Money
    currency: Text | None = None
    channel: Text | None = None
    category: Text | None = None
    discount_value: Amount | None = None
    margin_value: Money | None = None
    item_count: Amount | None = None
    is_return: bool | None = None

    @model_validator(mode="after")
    def _refunds_are_marked(self) -> Self:
        if self.value < 0 and not self.is_return:
            raise ValueError("value is negative: mark refunds with is_return, allowed otherwise: >= 0")
        return self


class Event(Fact):
    """Something the customer did, or that was done to the customer."""

    event_time: Clock
    kind: Annotated[str, Field(min_length=1, max_length=256)]
    event_id: Id | None = None
    channel: Text | None = None
    touchpoint: Text | None = None
    value: float | None = None


class Survey(Fact):
    """One question, and the answer if there was one."""

    metric: str
    sent_at: Clock
    responded_at: Instant | None = None
    score: int | None = None
    touchpoint: Text | None = None
    programme: Text | None = None
    comment: Text | None = None

    @model_validator(mode="after")
    def _answer_is_on_scale(self) -> Self:
        if self.metric not in SURVEY_SCALES:
            raise ValueError(f"metric is unknown, allowed: {', '.join(SURVEY_SCALES)}")
        low, high = SURVEY_SCALES[self.metric]
        if self.score is not None and not low <= self.score <= high:
            raise ValueError(f"score is off its scale, allowed for {self.metric}: {low} to {high}")
        if self.score is not None and self.responded_at is None:
            raise ValueError("score without responded_at: leave the score out where nobody answered")
        if self.responded_at is not None and self.responded_at < self.sent_at:
            raise ValueError("responded_at is before sent_at, allowed: responded_at >= sent_at")
        return self


class Subscription(Fact):
    """One subscription."""

    subscription_id: Id
    started_at: Clock
    ended_at: Instant | None = None
    term_ends_at: Instant | None = None
    plan: Text | None = None
    monthly_value: Amount | None = None
    currency: Text | None = None

    @model_validator(mode="after")
    def _ends_after_it_starts(self) -> Self:
        if self.ended_at is not None and self.ended_at < self.started_at:
            raise ValueError("ended_at is before started_at, allowed: ended_at >= started_at")
        return self


class ProfileIn(Strict):
    """What is known of one customer."""

    customer: Customer
    orders: list[Order] = Field(default_factory=list, max_length=MOST_FACTS)
    events: list[Event] = Field(default_factory=list, max_length=MOST_FACTS)
    surveys: list[Survey] = Field(default_factory=list, max_length=MOST_FACTS)
    subscriptions: list[Subscription] = Field(default_factory=list, max_length=MOST_FACTS)

    @model_validator(mode="after")
    def _facts_are_the_customers(self) -> Self:
        facts: Iterable[Fact] = [*self.orders, *self.events, *self.surveys, *self.subscriptions]
        if any(fact.customer_id not in (None, self.customer.customer_id) for fact in facts):
            raise ValueError("a fact names another customer_id than its profile's customer")
        _unique((order.order_id for order in self.orders), "orders.order_id")
        _unique((event.event_id for event in self.events if event.event_id), "events.event_id")
        _unique(((s.subscription_id, s.started_at) for s in self.subscriptions), "subscriptions.subscription_id")
        return self

    @property
    def currencies(self) -> set[str]:
        """In which currencies amounts are, as far as it is said; without an amount a currency says nothing."""
        rows: list[Customer | Order | Subscription] = [*self.orders, *self.subscriptions]
        if self.customer.acquisition_cost is not None:
            rows.append(self.customer)
        return {code for row in rows if (code := (row.currency or "").strip())}


class ScoreRequest(Strict):
    """Customers to score: either ids that the last batch run knows, or facts sent now with the time to score at."""

    customer_ids: list[Id] | None = Field(default=None, min_length=1, max_length=MOST_CUSTOMERS)
    prediction_time: PredictionTime | None = None
    language: Literal["en", "ru", "pl"] | None = None
    profiles: list[ProfileIn] | None = Field(default=None, min_length=1, max_length=MOST_CUSTOMERS)

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if (self.customer_ids is None) == (self.profiles is None):
            raise ValueError("send either customer_ids, or prediction_time and profiles")
        if (self.profiles is None) != (self.prediction_time is None):
            raise ValueError("prediction_time goes with profiles, and profiles with prediction_time")
        ids = self.customer_ids or [profile.customer.customer_id for profile in self.profiles or []]
        _unique(ids, "customer_id")
        if len(self._currencies) > 1:
            raise ValueError(f"currency is mixed ({listed(self._currencies)}), allowed: one currency in a request")
        return self

    @property
    def _currencies(self) -> list[str]:
        return sorted(set().union(*(profile.currencies for profile in self.profiles or [])))

    @property
    def currency(self) -> str | None:
        """In which currency all amounts are, where any says."""
        return next(iter(self._currencies), None)

    def facts(self, own: Collection[str] = ()) -> dict[str, list[dict[str, Any]]]:
        """The profiles as rows of the contract's tables, attributes as they were known at the prediction time.

        Parameters
        ----------
        own : collection of str
            Columns that a model takes as they stand, whatever their names say.

        Raises
        ------
        AttributeUnusable
            If what says since when an attribute is known is no time.
        """
        tables: dict[str, list[dict[str, Any]]] = {
            name: [] for name in ("customers", "orders", "events", "surveys", "subscriptions")
        }
        for profile in self.profiles or []:
            owner = {"customer_id": profile.customer.customer_id}
            tables["customers"].append(_as_known(profile.customer.model_dump(), self.prediction_time, own))
            for name in ("orders", "events", "surveys", "subscriptions"):
                tables[name] += [fact.model_dump() | owner for fact in getattr(profile, name)]
        return tables


def _as_known(customer: dict[str, Any], prediction_time: datetime | None, own: Collection[str]) -> dict[str, Any]:
    """Attributes as `features.snapshot` has them: empty before the time from which they are known."""
    known = dict(customer)
    for name, since in dates_of(customer).items():
        if since in own:
            continue
        at = _known_from(since, known.pop(since))
        if at is not None and prediction_time is not None and at > prediction_time:
            known[name] = None
    return known


def _known_from(name: str, value: object) -> datetime | None:
    try:
        return KNOWN_FROM_TYPE.validate_python(value)
    except ValidationError:
        allowed = "an ISO 8601 time with its offset, such as 2024-12-01T00:00:00+00:00, or null"
        raise AttributeUnusable(repr(name), f"{str(value)[:60]!r}, which is no time", allowed) from None


def _unique(values: Iterable[Any], name: str) -> None:
    seen = set()
    for value in values:
        if value in seen:
            raise ValueError(f"{name} stands there more than once, allowed: each one once")
        seen.add(value)
