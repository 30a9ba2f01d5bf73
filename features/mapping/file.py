"""Reading a `profile.yaml`: one that says anything that cannot be done is refused, with the place in the file."""

import re
from collections.abc import Mapping as Mapping_
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import yaml
from pydantic import ValidationError

from features.contract import KNOWN_FROM, KNOWN_WITH_ROW, SURVEY_SCALES, TABLES
from features.errors import MappingInvalid, listed
from features.mapping.declared import ColumnMapping, Mapping, Part, TableMapping
from features.refusals import allowed_by

MAPPING_FILE = "profile.yaml"
Place: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True)
class MappingFile:
    """A mapping with the file it came from, so that whatever is wrong can name its place.

    Parameters
    ----------
    path : Path
        The file.
    mapping : Mapping
        What it says.
    root : yaml.Node
        Its tree, for line numbers.
    """

    path: Path
    mapping: Mapping
    root: Any

    def problem(self, place: Place, found: str, allowed: str) -> MappingInvalid:
        """What is wrong, with its place in the file."""
        return MappingInvalid(str(self.path), *_located(self.root, place), found, allowed)


def read_mapping(path: Path) -> MappingFile:
    """Read a `profile.yaml`.

    Raises
    ------
    MappingInvalid
        If it is not YAML, or says anything that a mapping does not have; one line that names the place.
    """
    try:
        text = path.read_text(encoding="utf-8")
        root = yaml.compose(text, Loader=_Loader)
        content = yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        said = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise MappingInvalid(str(path), "", mark.line + 1 if mark else None, said, "a YAML file") from None
    try:
        mapping = Mapping.model_validate(content)
    except ValidationError as invalid:
        first = invalid.errors()[0]
        said = allowed_by(first)
        found, _, allowed = said.partition("; allowed: ")
        if not allowed:
            found, allowed = _found(first["input"]), said.removeprefix("allowed: ")
        raise MappingInvalid(str(path), *_located(root, first["loc"]), found, allowed) from None
    file = MappingFile(path, mapping, root)
    _require_consistent(file)
    return file


def _found(value: object) -> str:
    return f"{listed(value, 8)}" if isinstance(value, dict) else repr(value)


class _Loader(yaml.SafeLoader):
    """YAML in which a name stands once and what is not plainly a number, true, false or null is text."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse a name that stands twice: YAML would silently take the last."""
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} stands twice", key.start_mark)
            seen.add(str(key.value))
        return dict(super().construct_mapping(node, deep=deep))


# only what looks like nothing else is not text: YAML 1.1 would take a column Off for false and 12:30 for 750
_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"(true|false)$", "tf"),
    ("null", r"(null|~)?$", ["n", "~", ""]),
    ("int", r"-?(0|[1-9][0-9]*)$", "-0123456789"),
    ("float", r"-?[0-9]+[.][0-9]+$", "-0123456789"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), list(_first))


def _located(root: Any, place: Place) -> tuple[str, int | None]:
    """The dotted name of a place and its line, as far as the file goes into it."""
    node, names, line = root, [], None
    for step in place:
        inner: Any = None
        if isinstance(node, yaml.MappingNode):
            inner = next((pair for pair in node.value if pair[0].value == str(step)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            inner = (node.value[step], node.value[step])
        if inner is not None:
            names.append(str(step))
            line, node = inner[0].start_mark.line + 1, inner[1]
    return ".".join(names) or "the file", line


def _require_consistent(file: MappingFile) -> None:
    """Refuse names that lead nowhere, before any data is read."""
    mapping = file.mapping
    for name, table in mapping.tables.items():
        if name not in TABLES:
            raise file.problem(("tables", name), f"table {name!r}", listed(TABLES, 20))
        for i, part in enumerate(table.union):
            place: Place = ("tables", name, "union", i)
            _require_sources(file, place, part)
            _require_columns(file, place, name, part.columns)
            if lacking := [column for column in TABLES[name].required if column not in part.columns]:
                raise file.problem((*place, "columns"), f"no {listed(lacking)}", listed(TABLES[name].required))
        _require_rules(file, name, table)
    if mapping.labels:
        _require_labels(file, mapping.labels)
    if mapping.currency:
        _require_currencies(file)
        if mapping.currency.rates not in mapping.sources:
            raise file.problem(("currency", "rates"), repr(mapping.currency.rates), listed(mapping.sources, 20))


def _require_labels(file: MappingFile, labels: Part) -> None:
    _require_sources(file, ("labels",), labels)
    if "customer_id" not in labels.columns:
        raise file.problem(("labels", "columns"), listed(labels.columns), "customer_id and the labels")
    for name, column in labels.columns.items():
        _require_moment(file, ("labels", "columns", name), "", name, column)


def _require_currencies(file: MappingFile) -> None:
    """Who wants one currency says of every amount in which it is, and as of when."""
    for name, table in file.mapping.tables.items():
        contract = TABLES[name]
        needed = [column for column in ("currency", contract.priced_at) if column]
        for part in table.union:
            amounts = [column for column in contract.money if column in part.columns]
            lacking = [column for column in needed if column not in part.columns]
            if amounts and lacking:
                allowed = f"a {lacking[0]} for every part of {name} with {listed(amounts)}"
                raise file.problem(("currency",), f"it without {name}.{lacking[0]}", allowed)


def _require_rules(file: MappingFile, name: str, table: TableMapping) -> None:
    """Rules for whole tables stand where they mean something."""
    place: Place = ("tables", name)
    if table.deduplicate and (unknown := [c for c in table.deduplicate.by if not _has(table, c)]):
        raise file.problem((*place, "deduplicate", "by"), listed(unknown), "columns mapped in the table")
    if table.returns == "negative" and any("is_return" in part.columns for part in table.union):
        raise file.problem((*place, "returns"), "it beside is_return", "returns: negative or is_return")
    if name != "orders" and (table.collapse or table.returns == "negative"):
        raise file.problem((*place, "collapse" if table.collapse else "returns"), f"it in {name}", "it in orders")


def _has(table: TableMapping, column: str) -> bool:
    return all(column in part.columns for part in table.union)


def _require_sources(file: MappingFile, place: Place, part: Part) -> None:
    for where, source in [("from", part.from_), *(("join", name) for name in part.join)]:
        if source not in file.mapping.sources:
            raise file.problem((*place, where), f"source {source!r}", listed(file.mapping.sources, 20))


def _require_columns(file: MappingFile, place: Place, table: str, columns: Mapping_[str, ColumnMapping]) -> None:
    contract = TABLES[table]
    for name, column in columns.items():
        here: Place = (*place, "columns", name)
        known = contract.by_name.get(name)
        if (known is None and table != "customers") or name == "ingested_at":
            allowed = listed([c for c in contract.by_name if c != "ingested_at"], 20)
            raise file.problem(here, f"column {name!r}", f"{allowed}; known_from gives ingested_at")
        if table == "customers" and name.endswith(KNOWN_FROM):
            attribute = name.removesuffix(KNOWN_FROM)
            raise file.problem(here, f"column {name!r}", f"{attribute}: {{from: ..., known_from: ...}}, which gives it")
        _require_moment(file, here, table, name, column)
        if column.alias and (name != "customer_id" or not contract.clock or "identities" not in file.mapping.tables):
            raise file.problem(here, "an alias", "customer_id of a table of facts, with identities among the tables")
        if column.times and (known is None or known.kind != "instant"):
            raise file.problem(here, "times", "times for a column that holds times")
        if column.categories and known is not None and known.kind != "text":
            raise file.problem(here, "categories", "categories for a column that holds text")
        if column.scale:
            _require_scale(file, here, table, name, columns)


def _require_moment(file: MappingFile, place: Place, table: str, name: str, column: ColumnMapping) -> None:
    """When it became known is said of attributes of customers, and is nothing but a time."""
    here: Place = (*place, "known_from")
    if column.known_from is None:
        return
    if table != "customers" or name in KNOWN_WITH_ROW:
        where = f"it for {name!r} of {table or 'labels'}"
        raise file.problem(here, where, "it for attributes of customers; known_from of the part is of whole rows")
    for said in ("alias", "categories", "scale", "known_from"):
        if said in column.known_from.model_fields_set:
            raise file.problem((*here, said), said, "from or constant, and times")


def _require_scale(
    file: MappingFile, place: Place, table: str, name: str, columns: Mapping_[str, ColumnMapping]
) -> None:
    metric = columns["metric"].constant if "metric" in columns else None
    scale = columns[name].scale
    if (table, name) != ("surveys", "score") or metric not in SURVEY_SCALES or scale is None:
        raise file.problem(place, "scale", f"scale for surveys.score, with metric a constant, {listed(SURVEY_SCALES)}")
    low, high = SURVEY_SCALES[str(metric)]
    if scale.rule is None and (scale.low, scale.high) != (low, high):
        raise file.problem(
            (*place, "scale"),
            f"{scale.low}-{scale.high} for {metric!r} without a rule",
            f"{low}-{high}, or rule: linear to carry answers over in proportion",
        )
