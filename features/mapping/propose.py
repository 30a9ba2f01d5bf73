"""A first `profile.yaml` for tables nobody has described yet: what can be told is written, the rest is marked.

Columns are recognised by their names and told apart by their values: which id names the customer, which is unique,
what a time looks like, on which scale answers lie. Whatever is a guess ends in a comment `# decide: ...`.
"""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from features.contract import SURVEY_SCALES, TABLES
from features.errors import OutputUnwritable, ProfileNotFound
from features.expressions import quoted
from features.files import write_new
from features.mapping.discover import declared_in, key_of, yaml_text
from features.mapping.file import MAPPING_FILE
from features.mapping.names import IDENTITY, KINDS, RATES, SAID
from features.mapping.recognise import Found, Recognised, look, plain
from features.reading.sources import Sources, embedded_engine

TAKEN = "it is already there, and may hold somebody's decisions"
LATELY = "known_from: at once   # decide: or the column that says when it was known"
ROLES = ("orders", "events", "surveys", "subscriptions", "campaigns")
AMOUNTS = (
    ("replace({}, ',', '.')", "a comma before the cents"),
    ("replace(replace({}, '.', ''), ',', '.')", "points between thousands, a comma before the cents"),
    ("replace({}, ',', '')", "commas between thousands"),
    ("replace(regexp_replace({}, '[^0-9,.-]', '', 'g'), ',', '.')", "without signs and blanks, a comma as a point"),
)
"""How amounts are turned into numbers that are not written as such, tried in order."""


def propose(source: Path, beside: Path) -> str:
    """Propose a mapping for a folder of files or a DuckDB file.

    Parameters
    ----------
    source : Path
        What lies there is read, and nothing is written.
    beside : Path
        The folder that the mapping's paths are relative to.

    Returns
    -------
    str
        The text of a `profile.yaml`.

    Raises
    ------
    ProfileNotFound
        If there is no table.
    NothingToPropose
        If no column names the customer.
    """
    backend = embedded_engine()
    if not source.exists():
        raise ProfileNotFound(str(source), "no such folder")
    declared = declared_in(source, beside)
    if not declared:
        raise ProfileNotFound(str(source), "no Parquet or CSV file and no table in it")
    with Sources({name: one for name, (one, _) in declared.items()}, beside, backend) as sources:
        found = [look(name, text, sources) for name, (_, text) in declared.items()]
        return "\n".join(_Proposal(backend, found).lines()) + "\n"


def write_proposal(source: Path, output: Path | None = None) -> tuple[Path, int]:
    """Propose a mapping and write it where there is none.

    Parameters
    ----------
    source : Path
        A folder or a DuckDB file.
    output : Path, optional
        By default `profile.yaml` beside the data; paths in it are relative to it.

    Returns
    -------
    file : Path
        What was written.
    to_decide : int
        How many lines are marked.

    Raises
    ------
    OutputUnwritable
        If the file is already there or cannot be written.
    """
    folder = source if source.is_dir() else source.parent
    file = output or folder / MAPPING_FILE
    if file.exists():
        raise OutputUnwritable(str(file), TAKEN)
    text = propose(source, file.parent)
    try:
        write_new(file, text)
    except FileExistsError:  # it came while the tables were read
        raise OutputUnwritable(str(file), TAKEN) from None
    except OSError as error:
        raise OutputUnwritable(str(file), error.strerror or str(error)) from None
    return file, text.count("# decide")


class _Proposal(Recognised):
    """The lines that say what was recognised."""

    def __init__(self, backend: Any, found: list[Found]) -> None:
        super().__init__(backend, found)
        self.formats: Counter[str] = Counter()
        self.is_naive = False
        self.is_ambiguous = False
        self.target = self._target()

    def lines(self) -> Iterator[str]:
        """The proposal, top to bottom; tables first, because they say what times look like."""
        tables = [*self._customers(), *self._identities()]
        currency = self._currency()
        for role in ROLES:
            tables += self._facts(role)
        yield "# Proposed by `patron profile init`. Go through the lines marked `decide`, then run patron check."
        yield ""
        yield "broken_rows: refuse   # or quarantine"
        yield ""
        yield "sources:"
        for table in self.found:
            yield f"  {table.name}: {table.source}   # {table.rows:,} rows"
        yield ""
        yield from [*currency, *self._times()]
        yield "tables:"
        yield from tables
        if not self.roles:
            yield "  # decide: no table of facts was found; add one of orders, events, surveys, subscriptions"
        special = (self.people, self.rates, *(self.aliases or ())[:1])
        used = {table.name for table in special if isinstance(table, Found)}
        used |= {header for header, _ in self.joined.values()}
        for table in self.found:
            if table.name not in used and not (table.name in self.roles and self._who(table)):
                yield f"  # decide: {table.name} is not used; its columns are {', '.join(table.types)}"

    def _times(self) -> Iterator[str]:
        if not (self.formats or self.is_naive):
            return
        yield "times:"
        if self.formats:
            yield f"  formats: [{', '.join(self.formats)}]"
        if self.is_ambiguous:
            yield "  # decide: month or day first? Both fit every value; the other: D/M/YYYY"
        yield "  zone: UTC   # decide: the zone of times that do not name theirs, such as Europe/Berlin"
        yield ""

    def _time(self, table: Found, column: str) -> str:
        """A time's column; what its values look like is noted for the whole file."""
        dtype, name = table.types[column], quoted(column)
        if dtype.startswith(("TIMESTAMP", "DATE")):
            self.is_naive |= not dtype.startswith("TIMESTAMP WITH TIME ZONE")
            return yaml_text(column)
        written = self.written(table, column)
        if written.per_second:
            divided = f" / {written.per_second}" if written.per_second > 1 else ""
            return yaml_text(f"to_timestamp(TRY_CAST({name} AS DOUBLE){divided})")
        if written.formats:
            both = [other for other in written.formats if other.startswith(("M/D/", "D/M/"))]
            self.is_ambiguous |= len(both) > 1
            self.is_naive = True
            self.formats[written.formats[0]] += 1
        elif not written.is_zoned and self.one(f"SELECT count({name}) FROM {table.relation}"):  # noqa: S608 - our own names
            return f"{yaml_text(column)}   # decide: no known format fits; name it in times.formats"
        return yaml_text(column) if dtype == "VARCHAR" else yaml_text(f"CAST({name} AS VARCHAR)")

    def _amount(self, table: Found, column: str) -> str:
        """A column of numbers, however they are written."""
        if table.types[column] != "VARCHAR":
            return yaml_text(column)
        name = quoted(column)
        read = "SELECT count(*) FILTER (TRY_CAST({} AS DOUBLE) IS NULL) FROM {} WHERE {} IS NOT NULL"
        unread = self.one(read.format(name, table.relation, name))
        if not unread:
            return yaml_text(column)
        for template, words in AMOUNTS:
            sql = template.format(name)
            if not self.one(read.format(sql, table.relation, name)):
                return f"{yaml_text(sql)}   # decide: read as numbers with {words}"
        return f"{yaml_text(column)}   # decide: {unread:,} of {table.rows:,} are no numbers"

    def _customers(self) -> list[str]:
        if self.people is None:
            return self._customers_of_facts()
        table, used = self.people, {self.customer[self.people.name]}
        lines = [
            "  customers:", f"    from: {table.name}",
            f"    {LATELY}", "    columns:",
            f"      customer_id: {yaml_text(self.customer[table.name])}{self.guess}",
        ]  # fmt: skip
        for name in SAID["customers"]:
            if (column := self.column(table, "customers", name)) and column not in used:
                used.add(column)
                said = self._time(table, column) if name == "created_at" else self._attribute(table, column, used, name)
                lines.append(f"      {name}: {said}")
        own = {column: self._attribute(table, column, used) for column in table.types if column not in used}
        lines += [f"      # {key_of(column)}: {said}" for column, said in own.items() if column not in used]
        return [*lines, ""]

    def _attribute(self, table: Found, column: str, used: set[str], name: str = "") -> str:
        """An attribute of a customer, with the column that by its name says since when it is so."""
        since = self.since(table, column, name)
        if since is None or since in used:
            return yaml_text(column)
        used.add(since)
        why = "   # decide: taken as when it became known" if name else ""  # what is not proposed need not be decided
        return f"{{from: {yaml_text(column)}, known_from: {self._time(table, since)}}}{why}"

    def _customers_of_facts(self) -> list[str]:
        """Nobody wrote the customers down: they are who stands in the facts."""
        lines = ["  customers:   # decide: no table of customers was found; these are all who stand in the facts"]
        lines += ["    union:"]
        having = [table for table in self.found if table.name in self.customer]
        for table in [t for t in having if t.name in self.roles] or having:
            role, name = self.roles.get(table.name), self.customer[table.name]
            clock = self.clock(table, role) if role else None
            lines.append(f"      - from: {table.name}")
            lines += [f"        join: {self.joined[table.name][1]}"] if table.name in self.joined else []
            lines.append(f"        known_from: {self._time(table, clock)}" if clock else f"        {LATELY}")
            if self.one(f"SELECT count(*) - count({quoted(name)}) FROM {table.relation}"):  # noqa: S608 - our own names
                lines.append(f"        where: {yaml_text(f'{quoted(name)} IS NOT NULL')}")
            lines += ["        columns:", f"          customer_id: {yaml_text(name)}"]
        return [*lines, "    deduplicate: {by: customer_id, keep: first}", ""]

    def _identities(self) -> list[str]:
        if self.aliases is None:
            return []
        table, alias = self.aliases
        since, until = (table.column((plain(name), *names)) for name, names in IDENTITY.items())
        always = "{constant: 1970-01-01T00:00:00Z}   # decide: or a column, if an alias changes hands"
        lines = [
            "  identities:", f"    from: {table.name}", "    columns:", f"      alias_id: {yaml_text(alias)}",
            f"      customer_id: {yaml_text(self.customer[table.name])}",
            f"      valid_from: {self._time(table, since) if since else always}",
        ]  # fmt: skip
        return [*lines, *([f"      valid_to: {self._time(table, until)}"] if until else []), ""]

    def _currency(self) -> list[str]:
        """How amounts become one currency, where a table of rates was found."""
        if self.rates is None or self.target is None:
            return []
        code, day, rate = (str(self.rates.column(names)) for names in RATES.values())
        return [
            "currency:", f"  target: {yaml_text(self.target)}   # decide: the currency wanted",
            f"  rates: {self.rates.name}", f"  code: {yaml_text(code)}", f"  day: {self._time(self.rates, day)}",
            f"  rate: {self._amount(self.rates, rate)}", "",
        ]  # fmt: skip

    def _target(self) -> str | None:
        """The currency that most orders are in, best one that has no rate because it is what the rates are in."""
        orders = next((t for t in self.found if self.roles.get(t.name) == "orders"), None)
        name = self.column(orders, "orders", "currency") if orders else None
        if self.rates is None or orders is None or name is None:
            return None
        code, column = quoted(str(self.rates.column(RATES["code"]))), quoted(name)
        ranked = f"""SELECT {column} FROM {orders.relation} WHERE {column} IS NOT NULL GROUP BY 1
            ORDER BY {column} IN (SELECT {code} FROM {self.rates.relation}), count(*) DESC, 1 LIMIT 1"""  # noqa: S608
        found = self.backend.raw_sql(ranked).fetchall()
        return str(found[0][0]) if found else None

    def _facts(self, role: str) -> list[str]:
        parts = [part for t in self.found if self.roles.get(t.name) == role and (part := self._part(t, role))]
        if not parts:
            return []
        lines, own = [f"  {role}:", "    union:"], list[str]()
        for written, ending in parts:
            lines += [f"      {'- ' if i == 0 else '  '}{line}" for i, line in enumerate(written)]
            own += [f"    {line}" for line in ending if f"    {line}" not in own]
        return [*lines, *own, ""]

    def _who(self, table: Found) -> str | None:
        """Whose the rows of a table are; None where nothing tells."""
        if table.name in self.customer:
            return yaml_text(self.customer[table.name])
        return f"{{alias: {json.dumps(self.aliases[1])}}}" if self.aliases and self.aliases[1] in table.types else None

    def _part(self, table: Found, role: str) -> tuple[list[str], list[str]] | None:
        customer, who = self.customer.get(table.name), self._who(table)
        if not who:
            return None
        lines = [f"from: {table.name}", LATELY]
        lines += [f"join: {self.joined[table.name][1]}"] if table.name in self.joined else []
        if table.rows > table.distinct_rows:
            copies = table.rows - table.distinct_rows
            lines.append(f"exact_duplicates: drop   # decide: {copies:,} rows are exact copies")
        lines += ["columns:", f"  customer_id: {who}"]
        columns = {name: found for name in SAID[role] if (found := self.column(table, role, name))}
        clock = str(TABLES[role].clock)
        if found := self.clock(table, role):
            columns[clock] = found
        if role == "orders" and self.unit_price(table):
            columns.pop("value", None)  # the price of one item is not what the line is worth
        kinds = {column.name: column.kind for column in TABLES[role].columns}
        for name, column in columns.items():
            said = {"instant": self._time, "money": self._amount, "number": self._amount}.get(kinds[name])
            guess = name == clock and self.column(table, role, clock) is None
            why = "   # decide: the only column that holds times" if guess else ""
            lines.append(f"  {name}: {said(table, column) if said else yaml_text(column)}{why}")
        more, ending = self._completed(table, role, columns, customer or "")
        own = TABLES[role].money and "currency" in kinds and "currency" not in columns and self.target
        more += [f"  currency: {{constant: {self.target}}}   # decide: no column names it"] if own else []
        lacking = [name for name in TABLES[role].required if name not in (*columns, "customer_id")]
        said_more = {line.strip().partition(":")[0] for line in more}
        more += [f"  # decide: {name}: no column was recognised" for name in lacking if name not in said_more]
        return [*lines, *more], ending

    def _completed(
        self, table: Found, role: str, columns: dict[str, str], customer: str
    ) -> tuple[list[str], list[str]]:
        """What the contract needs besides the columns found."""
        if role == "orders":
            return self._completed_orders(table, columns, customer)
        if role == "surveys":
            return self._completed_surveys(table, columns), []
        if role == "events" and "kind" not in columns:
            kind = next((kind for word, kind in KINDS.items() if word in table.name), table.name)
            return [f"  kind: {{constant: {yaml_text(kind)}}}   # decide: what happened there"], []
        if role == "subscriptions" and "subscription_id" not in columns:
            return [f"  subscription_id: {yaml_text(customer)}   # decide: no id was found; one a customer"], []
        return [], []

    def _completed_orders(self, table: Found, columns: dict[str, str], customer: str) -> tuple[list[str], list[str]]:
        lines, ending = [], []
        if "order_id" not in columns:
            text = f"concat_ws('-', {quoted(customer)}, {quoted(columns['event_time'])})"
            lines.append(f"  order_id: {yaml_text(text)}   # decide: no id was found; one order a customer and time")
        if "order_id" not in columns or not self.is_unique(table, columns["order_id"]):
            ending.append("collapse: order_id   # decide: several rows have one order id; they are added up")
        value = quoted(columns["value"]) if "value" in columns else "NULL"
        if several := self.unit_price(table):
            amounts = [self._amount(table, column).partition("   #")[0] for column in several]
            value = " * ".join(f"TRY_CAST({_unquoted(text)} AS DECIMAL(18, 4))" for text in amounts)
            lines.append(
                f"  value: {yaml_text(value)}   # decide: or {yaml_text(several[1])}, if it is of the whole line"
            )
        low = self.one(f"SELECT min(TRY_CAST({value} AS DOUBLE)) FROM {table.relation}")  # noqa: S608
        if low is not None and low < 0 and "is_return" not in columns:
            ending.append("returns: negative   # decide: some amounts are negative")
        if "currency" in columns and self.target is None:
            name = quoted(columns["currency"])
            codes = self.one(f"SELECT string_agg(DISTINCT {name}, ', ' ORDER BY {name}) FROM {table.relation}")  # noqa: S608
            if codes and ", " in codes:
                lines.append(f"  # decide: currencies {codes}; one is wanted: give a source of rates under currency:")
        return lines, ending

    def _completed_surveys(self, table: Found, columns: dict[str, str]) -> list[str]:
        lines = []
        if "responded_at" not in columns and "sent_at" in columns:
            lines.append(
                f"  responded_at: {self._time(table, columns['sent_at'])}   # decide: taken as answered at once"
            )
        if "metric" not in columns and "score" in columns:
            score = f"TRY_CAST({quoted(columns['score'])} AS DOUBLE)"
            low, high = self.backend.raw_sql(f"SELECT min({score}), max({score}) FROM {table.relation}").fetchall()[0]  # noqa: S608
            name = plain(columns["score"])
            fits = [m for m, (a, b) in SURVEY_SCALES.items() if low is not None and a <= low and high <= b]
            likely = "csat" if "csat" in fits else next(iter(fits), "csat")
            metric = next((m for m in SURVEY_SCALES if m in name), likely)
            seen = f"answers lie from {low} to {high}; allowed: {', '.join(SURVEY_SCALES)}"
            lines.append(f"  metric: {{constant: {metric}}}   # decide: {seen}")
        return lines


def _unquoted(text: str) -> str:
    """An expression as it was before YAML; a bare name in quotes, as expressions take any."""
    return str(json.loads(text)) if text.startswith('"') else quoted(text)
