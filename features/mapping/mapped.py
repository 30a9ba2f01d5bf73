"""A company's own tables, mapped to the contract's: everything a `profile.yaml` asks for, done once.

A mapped table is computed once, into the embedded engine, with the contract's columns only: the check and the
features read it dozens of times, and joins and repeated rows are not decided anew each time. It then goes the same way
as a table of a folder.
"""

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import Any

import duckdb
import ibis.expr.types as ir

from features.contract import TABLES
from features.finding import Finding
from features.mapping.combine import collapse, combine, count, deduplicate, note, shared_aliases
from features.mapping.currency import bind_rates, convert_currency, rate_table
from features.mapping.declared import Deduplicate
from features.mapping.file import MappingFile, Place
from features.mapping.parts import BoundPart, bind_part, exact_copies, part_sql, row_demands
from features.reading.sources import Sources, embedded_engine, reason_of, view


@dataclass(frozen=True)
class Mapped:
    """The tables that a mapping gives.

    Parameters
    ----------
    backend : ibis backend
        The embedded engine that holds them.
    raw : mapping of str to ibis table
        Tables of the contract, not yet held against it.
    digest : str
        SHA-256 over the mapping and the content of its sources.
    findings : tuple of Finding
        What the mapping itself found or did, with counts.
    labels : ibis table or None
        Outcomes known from elsewhere.
    """

    backend: Any
    raw: dict[str, ir.Table]
    digest: str
    findings: tuple[Finding, ...]
    labels: ir.Table | None


def map_profile(file: MappingFile) -> Mapped:
    """Do what a mapping says.

    Parameters
    ----------
    file : MappingFile
        The mapping; paths are relative to its folder.

    Raises
    ------
    MappingInvalid
        If it does not fit its sources.
    SourceUnreadable
        If a source cannot be read.
    """
    backend = embedded_engine()
    with Sources(file.mapping.sources, file.path.parent, backend) as sources:
        bound = _bind_all(file, sources)
        _load_all(file, bound, sources)
        raw: dict[str, ir.Table] = {}
        findings: list[Finding] = []
        labels: ir.Table | None = None
        place: Place = ()
        rates = rate_table(file, file.mapping.currency, sources) if file.mapping.currency else None
        try:
            for name in sorted(file.mapping.tables, key=lambda name: name != "identities"):  # aliases need them first
                place = ("tables", name)
                raw[name], found = _table(file, name, bound[name], sources, rates, raw.get("identities"))
                findings += found
            if "labels" in bound:
                place = ("labels",)
                labels = backend.create_table("labels", _union("labels", bound["labels"], sources), temp=True)
        except duckdb.Error as error:
            allowed = "expressions that fit every row, such as TRY_CAST for CAST"
            raise file.problem(place, reason_of(error), allowed) from None
        text = f"{file.mapping.model_dump_json()}{sources.digests()}"
    return Mapped(backend, raw, hashlib.sha256(text.encode()).hexdigest(), tuple(findings), labels)


def _bind_all(file: MappingFile, sources: Sources) -> dict[str, list[BoundPart]]:
    """Hold every expression against its source's columns, before any row is read."""
    bound = {
        name: [bind_part(file, ("tables", name, "union", i), name, part, sources) for i, part in enumerate(table.union)]
        for name, table in file.mapping.tables.items()
    }
    if file.mapping.labels:
        bound["labels"] = [bind_part(file, ("labels",), "", file.mapping.labels, sources)]
    if file.mapping.currency:
        bind_rates(file, file.mapping.currency, sources)
    return bound


def _load_all(file: MappingFile, bound: dict[str, list[BoundPart]], sources: Sources) -> None:
    """Load of every source the columns used anywhere, and the rows needed where one part alone uses it."""
    parts = [part for several in bound.values() for part in several]
    uses = Counter(source for part in parts for source in part.used)
    used: dict[str, set[str]] = {source: set() for source in uses}
    for part in parts:
        for source, columns in part.used.items():
            used[source] |= columns
    if currency := file.mapping.currency:
        rates = sources.open(currency.rates)
        used[currency.rates] = used.get(currency.rates, set()) | set(rates.columns)
        uses[currency.rates] += 2
    demands = {part.part.from_: row_demands(part) for part in parts if uses[part.part.from_] == 1}
    for source, needed in used.items():
        sources.load(source, needed, demands.get(source, ()))


def _union(name: str, parts: list[BoundPart], sources: Sources) -> ir.Table:
    """The rows of every part, columns matched by name."""
    query = " UNION ALL BY NAME ".join(part_sql(part, sources) for part in parts)
    return view(sources.backend, f"mapped_{name}", query)


def _table(
    file: MappingFile,
    name: str,
    parts: list[BoundPart],
    sources: Sources,
    rates: ir.Table | None,
    identities: ir.Table | None,
) -> tuple[ir.Table, list[Finding]]:
    mapping, contract = file.mapping.tables[name], TABLES[name]
    findings = [finding for part in parts if (finding := _copies(name, part, sources))]
    findings += [finding for part in parts for finding in _empty(name, part, sources)]
    found = _union(name, parts, sources)
    rows = combine(name, found, mapping, identities)
    if file.mapping.currency and rates is not None:
        rows, lacking = convert_currency(rows, contract, rates, file.mapping.currency)
        findings += [lacking] if lacking else []
    if mapping.deduplicate:
        rows = sources.backend.create_table(f"once_{name}", deduplicate(rows, contract, mapping.deduplicate), temp=True)
        findings += _repeated(name, mapping.deduplicate, count(found), count(rows))
    made = collapse(rows, mapping.collapse) if mapping.collapse else rows
    made = sources.backend.create_table(f"raw_{name}", made, temp=True)
    if mapping.collapse:
        said = f"{count(rows):,} rows, added up to {count(made):,}"
        what = f"rows added up by {mapping.collapse}"
        findings.append(note(name, "order_id", what, 0, 0, said, f"collapse: {mapping.collapse}"))
    if name == "identities" and (shared := shared_aliases(made)):
        findings.append(shared)
    return made, findings


def _repeated(name: str, rule: Deduplicate, rows: int, kept: int) -> list[Finding]:
    if rows == kept:
        return []
    by = " and ".join(rule.by)
    what = f"the same {by} as another and were left out"
    return [note(name, rule.by[0], what, rows - kept, rows, f"{rule.keep} kept", f"one row a {by}")]


def _empty(name: str, part: BoundPart, sources: Sources) -> list[Finding]:
    """Sources without rows: a union or a join would pass over them in silence."""
    several = sorted(part.used)
    query = "SELECT count(*) FROM (FROM {} LIMIT 1)"
    empty = [s for s in several if not sources.backend.raw_sql(query.format(sources.open(s).relation)).fetchall()[0][0]]
    return [
        Finding("warning", name, "", "a source without rows", 0, 0, f"source {s!r}", "at least one row", f"Fill {s}.")
        for s in empty
    ]


def _copies(name: str, part: BoundPart, sources: Sources) -> Finding | None:
    if part.part.exact_duplicates == "keep":
        return None
    copies, rows = exact_copies(part, sources)
    if not copies:
        return None
    source = f"source {part.part.from_!r}"
    return note(name, "", "an exact copy elsewhere and were left out", copies, rows, source, "each row once")
