"""`profile.yaml`: how a company's own tables become the contract's, as a person writes it down."""

import re
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from features.contract import SURVEY_SCALES, TABLES
from features.errors import MappingInvalid, listed

MAPPING_FILE = "profile.yaml"
AT_ONCE = "at once"
Place: TypeAlias = tuple[str | int, ...]
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


def _several(value: object) -> object:
    return (value,) if isinstance(value, str) else value


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=False)

    @model_validator(mode="before")
    @classmethod
    def _only_known_names(cls, data: object) -> object:
        names = [info.alias or name for name, info in cls.model_fields.items()]
        unknown = [key for key in data if key not in names] if isinstance(data, dict) else []
        if unknown:
            raise ValueError(f"unknown name {listed(unknown)}; allowed: {', '.join(names)}")
        return data


class Source(_Strict):
    """Where rows come from: files, a table of a DuckDB file, or a table behind a connection URL.

    Parameters
    ----------
    files : tuple of str
        Parquet or CSV files, or globs of them, relative to the mapping; their rows are taken together.
    delimiter : str
        What separates the columns of a CSV file.
    duckdb : str
        A DuckDB file, relative to the mapping.
    url : str
        An Ibis connection URL, such as ``postgres://patron:${PGPASSWORD}@host/shop``.
    table : str
        The table behind `duckdb` or `url`, ``schema.table`` where it is not in the default schema.
    """

    files: tuple[str, ...] = ()
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    duckdb: str = ""
    url: str = ""
    table: str = ""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, data: object) -> object:
        return {"files": data} if isinstance(data, str | list) else data

    _files = field_validator("files", mode="before")(_several)

    @model_validator(mode="after")
    def _one_kind(self) -> "Source":
        if sum(map(bool, (self.files, self.duckdb, self.url))) != 1:
            raise ValueError("allowed: exactly one of files, duckdb, url")
        if bool(self.table) == bool(self.files):
            raise ValueError("allowed: table with duckdb or url, and only there")
        return self


class Times(_Strict):
    """How times are written.

    Parameters
    ----------
    formats : tuple of str
        Tried in order, such as ``M/D/YYYY``; without any, times are ISO 8601.
    zone : str or None
        Zone of times that do not name theirs, such as ``Europe/Berlin``; without it they are refused.
    """

    formats: tuple[str, ...] = ()
    zone: str | None = None

    _formats = field_validator("formats", mode="before")(_several)

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


class Scale(_Strict):
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


class ColumnMapping(_Strict):
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
    """

    from_: str | None = Field(default=None, alias="from")
    constant: Scalar = None
    alias: str | None = None
    times: Times | None = None
    categories: tuple[str, ...] = ()
    scale: Scale | None = None

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


class Part(_Strict):
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
    known_from : ColumnMapping or "at once" or None
        When a row could first be known: becomes `ingested_at`.
    """

    from_: str = Field(alias="from")
    join: dict[str, str | dict[str, str]] = {}
    where: str | None = None
    exact_duplicates: Literal["keep", "drop"] = "keep"
    columns: dict[str, ColumnMapping] = Field(min_length=1)
    known_from: Literal["at once"] | ColumnMapping | None = None


class Deduplicate(_Strict):
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

    _by = field_validator("by", mode="before")(_several)


class TableMapping(_Strict):
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


class Currency(_Strict):
    """One currency for all amounts of `orders`.

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


class Mapping(_Strict):
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
        said = first["msg"].removeprefix("Value error, ")
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
    """YAML in which a name stands once and a date is what was written."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse a name that stands twice: YAML would silently take the last."""
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} stands twice", key.start_mark)
            seen.add(str(key.value))
        return dict(super().construct_mapping(node, deep=deep))


_Loader.add_constructor("tag:yaml.org,2002:timestamp", yaml.SafeLoader.construct_yaml_str)


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
        if table.deduplicate and (unknown := [c for c in table.deduplicate.by if not _has(table, c)]):
            raise file.problem(("tables", name, "deduplicate", "by"), listed(unknown), "columns mapped in the table")
        if name != "orders" and (table.collapse or table.returns == "negative"):
            place = ("tables", name, "collapse" if table.collapse else "returns")
            raise file.problem(place, f"it in {name}", "it in orders")
    if mapping.labels:
        _require_sources(file, ("labels",), mapping.labels)
        if "customer_id" not in mapping.labels.columns:
            raise file.problem(("labels", "columns"), listed(mapping.labels.columns), "customer_id and the labels")
    if mapping.currency and mapping.currency.rates not in mapping.sources:
        raise file.problem(("currency", "rates"), repr(mapping.currency.rates), listed(mapping.sources, 20))


def _has(table: TableMapping, column: str) -> bool:
    return all(column in part.columns for part in table.union)


def _require_sources(file: MappingFile, place: Place, part: Part) -> None:
    for where, source in [("from", part.from_), *(("join", name) for name in part.join)]:
        if source not in file.mapping.sources:
            raise file.problem((*place, where), f"source {source!r}", listed(file.mapping.sources, 20))


def _require_columns(file: MappingFile, place: Place, table: str, columns: MappingOf[str, ColumnMapping]) -> None:
    contract = TABLES[table]
    for name, column in columns.items():
        here: Place = (*place, "columns", name)
        known = contract.by_name.get(name)
        if (known is None and table != "customers") or name == "ingested_at":
            allowed = listed([c for c in contract.by_name if c != "ingested_at"], 20)
            raise file.problem(here, f"column {name!r}", f"{allowed}; known_from gives ingested_at")
        if column.alias and (name != "customer_id" or not contract.clock or "identities" not in file.mapping.tables):
            raise file.problem(here, "an alias", "customer_id of a table of facts, with identities among the tables")
        if column.times and (known is None or known.kind != "instant"):
            raise file.problem(here, "times", "times for a column that holds times")
        if column.categories and known is not None and known.kind != "text":
            raise file.problem(here, "categories", "categories for a column that holds text")
        if column.scale:
            _require_scale(file, here, table, name, columns)


def _require_scale(
    file: MappingFile, place: Place, table: str, name: str, columns: MappingOf[str, ColumnMapping]
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
