"""A first `profile.yaml` for tables nobody has described yet: what can be told is written, the rest is marked.

Columns are recognised by their names and told apart by their values: which id names the customer, which is unique,
what a time looks like, on which scale answers lie. Whatever is a guess ends in a comment `# decide: ...`.
"""

import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb

from features.contract import SURVEY_SCALES, TABLES
from features.errors import OutputUnwritable, ProfileNotFound
from features.expressions import literal, quoted
from features.mapping import Source, strptime_format
from features.mapping_file import MAPPING_FILE
from features.recognise import SAID, Found, Recognised, look, plain
from features.sources import Sources, embedded_engine, reason_of

FILES = ("*.parquet", "*.csv", "*.csv.gz")
FORMATS = (
    "YYYY-MM-DD", "YYYY-MM-DD HH:mm:ss", "YYYY-MM-DDTHH:mm:ss", "M/D/YYYY", "D/M/YYYY", "M/D/YYYY HH:mm",
    "D/M/YYYY HH:mm", "DD.MM.YYYY", "YYYY/MM/DD", "YYYYMMDD",
)  # fmt: skip


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
    declared = dict(_declared(source, beside))
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
        raise OutputUnwritable(str(file), "it is already there, and may hold somebody's decisions")
    text = propose(source, file.parent)
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputUnwritable(str(file), error.strerror or str(error)) from None
    return file, text.count("# decide")


def _declared(source: Path, beside: Path) -> Iterator[tuple[str, tuple[Source, str]]]:
    def relative(path: Path) -> str:
        return os.path.relpath(path, beside).replace(os.sep, "/")

    if source.is_file():
        try:
            with duckdb.connect(str(source), read_only=True) as engine:
                names = [name for (name,) in engine.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
        except duckdb.Error as error:
            raise ProfileNotFound(str(source), reason_of(error)) from None
        for name in sorted(names):
            one = Source(duckdb=relative(source), table=name)
            yield _key(name), (one, f"{{duckdb: {_yaml(one.duckdb)}, table: {_yaml(name)}}}")
    for path in sorted({path for pattern in FILES for path in source.rglob(pattern)}):
        text = relative(path)
        yield _key(path.name.split(".")[0]), (Source(files=(text,)), _yaml(text))


def _key(name: str) -> str:
    return re.sub(r"\W+", "_", name).strip("_").lower() or "table"


class _Proposal(Recognised):
    """The lines that say what was recognised."""

    def __init__(self, backend: Any, found: list[Found]) -> None:
        super().__init__(backend, found)
        self.formats: Counter[str] = Counter()
        self.is_naive = False
        self.is_ambiguous = False

    def lines(self) -> Iterator[str]:
        """The proposal, top to bottom; tables first, because they say what times look like."""
        tables = [*self._customers(), *self._identities()]
        for role in ("orders", "events", "surveys", "subscriptions"):
            tables += self._facts(role)
        yield "# Proposed by `patron profile init`. Go through the lines marked `decide`, then run patron check."
        yield ""
        yield "broken_rows: refuse   # or quarantine"
        yield ""
        yield "sources:"
        for table in self.found:
            yield f"  {table.name}: {table.source}   # {table.rows:,} rows"
        yield ""
        yield from self._times()
        yield "tables:"
        yield from tables
        if not self.roles:
            yield "  # decide: no table of facts was found; add one of orders, events, surveys, subscriptions"
        used = {table.name for table in (self.people, *(self.aliases or ())[:1]) if isinstance(table, Found)}
        for table in self.found:
            if table.name not in used and table.name not in self.roles:
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
            return _written(column)
        values = f"(SELECT DISTINCT {name}::VARCHAR AS v FROM {table.relation} WHERE {name} IS NOT NULL LIMIT 10000)"  # noqa: S608
        if self.one(f"SELECT bool_and(regexp_matches(v, '[0-9](Z|[+-][0-9]{{2}}:?[0-9]{{2}})$')) FROM {values}"):  # noqa: S608
            return _written(column)
        fits = [text for text in FORMATS if self._fits(text, values)]
        if not fits:
            return f"{_written(column)}   # decide: no known format fits; name it in times.formats"
        self.is_ambiguous |= {"M/D/YYYY", "D/M/YYYY"} <= set(fits)
        self.is_naive = True
        self.formats[fits[0]] += 1
        return _written(column)

    def _fits(self, text: str, values: str) -> bool:
        read = f"try_strptime(v, {literal(strptime_format(text))})"
        return bool(self.one(f"SELECT bool_and({read} IS NOT NULL) FROM {values}"))  # noqa: S608 - our own names

    def _customers(self) -> list[str]:
        if self.people is None:
            return self._customers_of_facts()
        table, used = self.people, {self.customer[self.people.name]}
        lines = [
            "  customers:", f"    from: {table.name}",
            "    known_from: at once   # decide: or the column that says when it was known", "    columns:",
            f"      customer_id: {_written(self.customer[table.name])}",
        ]  # fmt: skip
        for name in SAID["customers"]:
            if (column := self.column(table, "customers", name)) and column not in used:
                used.add(column)
                said = self._time(table, column) if name == "created_at" else _written(column)
                lines.append(f"      {name}: {said}")
        lines += [f"      # {_key(column)}: {_written(column)}" for column in table.types if column not in used]
        return [*lines, ""]

    def _customers_of_facts(self) -> list[str]:
        """Nobody wrote the customers down: they are who stands in the facts."""
        lines = ["  customers:   # decide: no table of customers was found; these are all who stand in the facts"]
        lines += ["    union:"]
        for table in (t for t in self.found if t.name in self.roles and t.name in self.customer):
            clock = self.column(table, self.roles[table.name], str(TABLES[self.roles[table.name]].clock))
            lines.append(f"      - from: {table.name}")
            lines += [f"        known_from: {self._time(table, clock)}"] if clock else []
            lines += ["        columns:", f"          customer_id: {_written(self.customer[table.name])}"]
        return [*lines, "    deduplicate: {by: customer_id, keep: first}", ""]

    def _identities(self) -> list[str]:
        if self.aliases is None:
            return []
        table, alias = self.aliases
        return [
            "  identities:", f"    from: {table.name}", "    columns:", f"      alias_id: {_written(alias)}",
            f"      customer_id: {_written(self.customer[table.name])}",
            "      valid_from: {constant: 1970-01-01T00:00:00Z}   # decide: or a column, if an alias changes hands", "",
        ]  # fmt: skip

    def _facts(self, role: str) -> list[str]:
        parts = [part for t in self.found if self.roles.get(t.name) == role and (part := self._part(t, role))]
        if not parts:
            return []
        lines, own = [f"  {role}:", "    union:"], list[str]()
        for written, ending in parts:
            lines += [f"      {'- ' if i == 0 else '  '}{line}" for i, line in enumerate(written)]
            own += [f"    {line}" for line in ending if f"    {line}" not in own]
        return [*lines, *own, ""]

    def _part(self, table: Found, role: str) -> tuple[list[str], list[str]] | None:
        customer = self.customer.get(table.name)
        if customer:
            who = _written(customer)
        elif self.aliases and self.aliases[1] in table.types:
            who = f"{{alias: {json.dumps(self.aliases[1])}}}"
        else:
            return None
        lines = [f"from: {table.name}", "known_from: at once   # decide: or the column that says when it was known"]
        if table.rows > table.distinct_rows:
            copies = table.rows - table.distinct_rows
            lines.append(f"exact_duplicates: drop   # decide: {copies:,} rows are exact copies")
        lines += ["columns:", f"  customer_id: {who}"]
        columns = {name: found for name in SAID[role] if (found := self.column(table, role, name))}
        clocks = {column.name for column in TABLES[role].columns if column.kind == "instant"}
        for name, column in columns.items():
            lines.append(f"  {name}: {self._time(table, column) if name in clocks else _written(column)}")
        more, ending = self._completed(table, role, columns, customer or "")
        return [*lines, *more], ending

    def _completed(
        self, table: Found, role: str, columns: dict[str, str], customer: str
    ) -> tuple[list[str], list[str]]:
        """What the contract needs besides the columns found."""
        if role == "orders":
            return self._completed_orders(table, columns, customer)
        if role == "surveys":
            return self._completed_surveys(table, columns), []
        if role == "subscriptions" and "subscription_id" not in columns:
            return [f"  subscription_id: {_written(customer)}   # decide: no id was found; one a customer"], []
        return [], []

    def _completed_orders(self, table: Found, columns: dict[str, str], customer: str) -> tuple[list[str], list[str]]:
        lines, ending = [], []
        if "order_id" not in columns:
            text = f"concat_ws('-', {quoted(customer)}, {quoted(columns['event_time'])})"
            lines.append(f"  order_id: {_yaml(text)}   # decide: no id was found; one order a customer and time")
        if "order_id" not in columns or not self.is_unique(table, columns["order_id"]):
            ending.append("collapse: order_id   # decide: several rows have one order id; they are added up")
        low = self.one(f"SELECT min(TRY_CAST({quoted(columns['value'])} AS DOUBLE)) FROM {table.relation}")  # noqa: S608
        if low is not None and low < 0 and "is_return" not in columns:
            ending.append("returns: negative   # decide: some amounts are negative")
        return lines, ending

    def _completed_surveys(self, table: Found, columns: dict[str, str]) -> list[str]:
        lines = []
        if "responded_at" not in columns:
            lines.append(f"  responded_at: {_written(columns['sent_at'])}   # decide: taken as answered at once")
        if "metric" not in columns:
            score = f"TRY_CAST({quoted(columns['score'])} AS DOUBLE)"
            low, high = self.backend.raw_sql(f"SELECT min({score}), max({score}) FROM {table.relation}").fetchall()[0]  # noqa: S608
            name = plain(columns["score"])
            fits = [m for m, (a, b) in SURVEY_SCALES.items() if low is not None and a <= low and high <= b]
            likely = "csat" if "csat" in fits else next(iter(fits), "csat")
            metric = next((m for m in SURVEY_SCALES if m in name), likely)
            seen = f"answers lie from {low} to {high}; allowed: {', '.join(SURVEY_SCALES)}"
            lines.append(f"  metric: {{constant: {metric}}}   # decide: {seen}")
        return lines


def _written(column: str) -> str:
    """A column's name as YAML takes it."""
    return _yaml(column)


def _yaml(text: str) -> str:
    plain = re.fullmatch(r"[A-Za-z_.][\w ./-]*", text) and text.strip().lower() not in (
        "null",
        "true",
        "false",
        "yes",
        "no",
        "on",
        "off",
    )
    return text if plain else json.dumps(text, ensure_ascii=False)
