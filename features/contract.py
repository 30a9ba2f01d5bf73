"""The profile contract: which tables and columns a profile has, what each means and what each may hold."""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Literal

from features.errors import UnknownName

Kind = Literal["id", "instant", "money", "text", "flag", "score", "number"]

MONEY_PRECISION, MONEY_SCALE = 18, 4
MONEY_TYPE = f"decimal({MONEY_PRECISION}, {MONEY_SCALE})"
"""Money is exact inside Patron: sums agree to the last digit on every engine and in every order."""

SURVEY_SCALES: dict[str, tuple[int, int]] = {"nps": (0, 10), "csat": (1, 5), "ces": (1, 7)}
"""Lowest and highest whole-number answer of each survey metric."""

KNOWN_FROM = "_known_from"
"""How the instant ends that says since when an attribute of a customer is known: `tier_known_from` beside `tier`.

Any attribute may have one, a column of the company's own too. Empty: since the row is known. Before it, the attribute
is empty to every prediction: of one that was overwritten nobody can tell what it was.
"""
KNOWN_WITH_ROW = ("customer_id", "created_at", "ingested_at", "currency")
"""Columns of `customers` that are no attributes: they are known when the row is."""

KIND_WORDS: dict[Kind, str] = {
    "id": "text or a whole number",
    "instant": "a time with its time zone",
    "money": "a number",
    "text": "text",
    "flag": "true or false",
    "score": "a whole number",
    "number": "a number",
}


@dataclass(frozen=True)
class Column:
    """One column of the contract.

    Parameters
    ----------
    name, kind
        What it is called and what it holds.
    required : bool
        Whether every profile with this table has it.
    nullable : bool
        Whether a single row may leave it empty.
    minimum : float or None
        Smallest allowed value, inclusive.
    description : str
        One sentence for the catalogue.
    """

    name: str
    kind: Kind
    required: bool = False
    nullable: bool = True
    minimum: float | None = None
    description: str = ""


@dataclass(frozen=True)
class TableContract:
    """One table of the contract.

    Parameters
    ----------
    name : str
        The table's name, also that of its file.
    columns : tuple of Column
        The columns Patron knows; a profile's `customers` may hold further attributes, and beside each the instant since
        when it is known, see `KNOWN_FROM`.
    unique : tuple of str
        The columns whose combination occurs once; empty when rows may repeat.
    clock : str or None
        The column that says when the fact happened; None for `customers` and `identities`, which are not facts.
    """

    name: str
    columns: tuple[Column, ...]
    unique: tuple[str, ...] = ()
    clock: str | None = None
    by_name: dict[str, Column] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Index the columns by name."""
        object.__setattr__(self, "by_name", {column.name: column for column in self.columns})

    @property
    def required(self) -> tuple[str, ...]:
        """Names of the columns that must be there."""
        return tuple(column.name for column in self.columns if column.required)

    @property
    def money(self) -> tuple[str, ...]:
        """Names of the columns that hold amounts."""
        return tuple(column.name for column in self.columns if column.kind == "money")

    @property
    def priced_at(self) -> str | None:
        """The column as of which amounts are converted: the clock, of a customer the start of the relationship."""
        return self.clock or ("created_at" if "created_at" in self.by_name else None)


def _required(name: str, kind: Kind, description: str = "") -> Column:
    return Column(name, kind, required=True, nullable=False, description=description)


_CUSTOMER = _required("customer_id", "id", "The customer.")
_CURRENCY = Column("currency", "text", description="ISO 4217 code of every amount of the row.")
_INGESTED = Column("ingested_at", "instant", description="When the row could first be known; empty: at once.")

TABLES: dict[str, TableContract] = {
    table.name: table
    for table in (
        TableContract(
            "customers",
            (
                _CUSTOMER,
                Column("created_at", "instant", description="When the customer relationship began."),
                _INGESTED,
                Column("acquisition_channel", "text", description="Where the customer came from."),
                Column("acquisition_cost", "money", minimum=0, description="What winning the customer cost."),
                _CURRENCY,
                Column("region", "text", description="Where the customer lives or is based."),
                Column("age_band", "text", description="Age, as a band."),
                Column("gender", "text", description="Gender, as stated."),
                Column("income_band", "text", description="Income or turnover, as a band."),
                Column("company_size", "text", description="Size of the company, as a band."),
                Column("industry", "text", description="Industry of the company."),
                Column("tier", "text", description="Tier of the loyalty programme or contract."),
            ),
            unique=("customer_id",),
        ),
        TableContract(
            "orders",
            (
                _CUSTOMER,
                _required("order_id", "id", "The order."),
                _required("event_time", "instant", "When it was placed."),
                Column("value", "money", required=True, nullable=False, description="Net value of the order."),
                _INGESTED,
                _CURRENCY,
                Column("channel", "text", description="Where it was placed."),
                Column("category", "text", description="What was bought."),
                Column("discount_value", "money", minimum=0, description="Discount already taken off `value`."),
                Column("margin_value", "money", description="Contribution of the order."),
                Column("item_count", "number", minimum=0, description="Items in the order."),
                Column(
                    "is_return", "flag", description="The row gives back what an order took; its amount is |value|."
                ),
            ),
            unique=("order_id",),
            clock="event_time",
        ),
        TableContract(
            "events",
            (
                _CUSTOMER,
                _required("event_time", "instant", "When it happened."),
                _required("kind", "text", "What happened."),
                Column("event_id", "id", description="The event."),
                _INGESTED,
                Column("channel", "text", description="Where it happened."),
                Column("touchpoint", "text", description="At which contact point."),
                Column("value", "number", description="A quantity that belongs to the kind."),
            ),
            unique=("event_id",),
            clock="event_time",
        ),
        TableContract(
            "surveys",
            (
                _CUSTOMER,
                _required("metric", "text", "nps, csat or ces."),
                _required("sent_at", "instant", "When the question went out."),
                Column("responded_at", "instant", description="When it was answered; empty: no answer."),
                Column("score", "score", description="The answer, on the metric's scale."),
                _INGESTED,
                Column("touchpoint", "text", description="What the question was about."),
                Column("programme", "text", description="periodic, event or random."),
                Column("comment", "text", description="Free text."),
            ),
            clock="sent_at",
        ),
        TableContract(
            "subscriptions",
            (
                _CUSTOMER,
                _required("subscription_id", "id", "The subscription."),
                _required("started_at", "instant", "When it began."),
                Column("ended_at", "instant", description="When it ended; empty: running."),
                Column("term_ends_at", "instant", description="When the term agreed on ends; may lie ahead."),
                Column("plan", "text", description="What was subscribed to."),
                Column("monthly_value", "money", minimum=0, description="Price a month."),
                _CURRENCY,
                _INGESTED,
            ),
            unique=("subscription_id", "started_at"),
            clock="started_at",
        ),
        TableContract(
            "campaigns",
            (
                _CUSTOMER,
                _required("campaign_id", "id", "The campaign."),
                _required("event_time", "instant", "When the customer was contacted or held back."),
                Column("is_control", "flag", description="Held back on purpose."),
                Column("channel", "text", description="How the customer was contacted."),
                Column("cost", "money", minimum=0, description="What the contact cost."),
                _CURRENCY,
                _INGESTED,
            ),
            clock="event_time",
        ),
        TableContract(
            "identities",
            (
                _required("alias_id", "id", "Another id of the customer."),
                _CUSTOMER,
                _required("valid_from", "instant", "From when the alias is the customer's."),
                Column("valid_to", "instant", description="Until when; empty: still."),
            ),
        ),
    )
}

FACT_TABLES = tuple(name for name, table in TABLES.items() if table.clock)


def dates_of(columns: Collection[str]) -> dict[str, str]:
    """Attributes of a customer beside which stands since when each is known, with the name of that instant.

    Examples
    --------
    >>> dates_of(["customer_id", "tier", "tier_known_from", "plan_known_from"])
    {'tier': 'tier_known_from'}
    """
    dates = {name.removesuffix(KNOWN_FROM): name for name in columns if name.endswith(KNOWN_FROM)}
    return {name: date for name, date in dates.items() if name in columns and name not in KNOWN_WITH_ROW}


def contract_of(name: str, columns: Collection[str]) -> TableContract:
    """A table's contract, of `customers` with an instant for each of its attributes that has one beside it.

    Raises
    ------
    UnknownName
        If the contract has no such table.
    """
    contract = table_contract(name)
    dates = dates_of(columns) if name == "customers" else {}
    said = "When {} became known; empty: at once."
    since = [Column(date, "instant", description=said.format(attribute)) for attribute, date in dates.items()]
    return replace(contract, columns=(*contract.columns, *since)) if since else contract


def table_contract(name: str) -> TableContract:
    """Look a table up.

    Raises
    ------
    UnknownName
        If the contract has no such table.
    """
    try:
        return TABLES[name]
    except KeyError:
        raise UnknownName("table", name, TABLES) from None
