"""One currency for all amounts of a mapped profile, at the last rate before each row's time."""

from typing import Any

import duckdb
import ibis
import ibis.expr.types as ir

from features.contract import MONEY_TYPE, TableContract
from features.expressions import ExpressionRefused, bind, quoted
from features.finding import Finding
from features.mapping.combine import count, read_instant_column
from features.mapping.declared import Currency
from features.mapping.file import MappingFile
from features.mapping.parts import instant_sql
from features.reading.conform import READERS
from features.reading.sources import Sources, reason_of, view

RATE_TYPE = "decimal(18, 8)"
_EXPRESSIONS = ("code", "day", "rate")


def bind_rates(file: MappingFile, currency: Currency, sources: Sources) -> dict[str, str]:
    """Hold the expressions of the rate table against its source's columns, and write them as SQL.

    Raises
    ------
    MappingInvalid
        If one does not fit.
    """
    columns = {column: quoted(column) for column in sources.open(currency.rates).columns}
    written = {}
    for name in _EXPRESSIONS:
        try:
            written[name] = bind(getattr(currency, name), columns).sql
        except ExpressionRefused as refused:
            raise file.problem(("currency", name), refused.found, refused.allowed) from None
    return written


def rate_table(file: MappingFile, currency: Currency, sources: Sources) -> ir.Table:
    """Read the rates: `rate_code`, `rate_from` and `rate`, as far as they can be read.

    Raises
    ------
    MappingInvalid
        If an expression does not fit its columns' types.
    """
    relation, sql = sources.open(currency.rates).relation, bind_rates(file, currency, sources)
    try:
        described = sources.backend.raw_sql(f"DESCRIBE SELECT {sql['day']} FROM {relation}").fetchall()[0]  # noqa: S608
    except duckdb.Error as error:
        raise file.problem(("currency", "day"), reason_of(error), "an expression that fits its columns") from None
    day = instant_sql(sql["day"], str(described[1]), currency.times or file.mapping.times)
    query = f"SELECT {sql['code']} AS rate_code, {day} AS rate_day, {sql['rate']} AS rate_value FROM {relation}"  # noqa: S608
    found = view(sources.backend, "rates", query)
    read = found.select(
        rate_code=found.rate_code.cast("string"),
        rate_from=read_instant_column(found.rate_day),
        rate=found.rate_value.try_cast(RATE_TYPE),
    )
    return read.filter((read.rate > 0) & read.rate_from.notnull())


def convert_currency(
    rows: ir.Table, contract: TableContract, rates: ir.Table, wanted: Currency
) -> tuple[ir.Table, Finding | None]:
    """Turn every amount of a table into one currency; what has no rate stays as it was found, and is named.

    Parameters
    ----------
    rows : ibis table
        Of any table of the contract; one without amounts is left alone.
    contract : TableContract
        Which: its amounts are converted as of ``contract.priced_at``.
    rates : ibis table
        As `rate_table` gives it.
    wanted : Currency
        The target.

    Returns
    -------
    rows : ibis table
        With the target as `currency` wherever every amount is in it.
    finding : Finding or None
        The rows with an amount but without a rate.
    """
    amounts = [name for name in contract.money if name in rows.columns]
    if not amounts:
        return rows, None
    clock = str(contract.priced_at)
    dated = rows.mutate(__at=read_instant_column(rows[clock]))
    rated = dated.asof_join(
        rates, on=dated["__at"] >= rates.rate_from, predicates=[dated.currency.cast("string") == rates.rate_code]
    )
    foreign = (rated.currency != wanted.target).fill_null(True)
    texts = {name: rated[name].cast("string") for name in amounts}
    priced = ibis.or_(*((text != "").fill_null(False) for text in texts.values()))
    lacks = foreign & priced & rated.rate.isnull()
    converted = {
        name: foreign.ifelse(_at_rate(rated[name], rated.rate).fill_null(text), text) for name, text in texts.items()
    }
    kept = {name: rated[name] for name in rows.columns if name not in (*amounts, "currency")}
    done = rated.select(**kept, **converted, currency=lacks.ifelse(rated.currency, wanted.target))
    lacking = rated.filter(lacks)
    if not (lacking_rows := count(lacking)):
        return done, None
    example = lacking.aggregate(x=lacking.currency.min()).to_pyarrow().to_pylist()[0]["x"]
    return done, Finding(
        "error", contract.name, "currency", "no rate as of their time", lacking_rows, count(rows),
        f"currency {example!r}", f"{wanted.target}, or a currency with a rate that is not later",
        f"Add rates to source {wanted.rates!r}, or correct {contract.name}.{clock}.",
    )  # fmt: skip


def _at_rate(amount: Any, rate: Any) -> Any:
    """An amount at a rate as exact text; null where one of them cannot be read."""
    return (READERS["money"](amount) * rate).try_cast(MONEY_TYPE).cast("string")
