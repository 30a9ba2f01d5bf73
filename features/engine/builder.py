"""From a snapshot to a feature table: one aggregation pass a relation, joined on customer and prediction time."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from features.engine.day_totals import build_totals, is_worth_sorting
from features.engine.numbered import Numbered, is_worth_a_copy, numbered
from features.engine.prepared import answer, answer_of, asked_of, can_be_prepared, kept, time_asked, times_asked
from features.errors import FeaturesUnavailable, MissingColumn, MissingTable, OutputUnwritable
from features.files import replacing
from features.instants import to_us
from features.profile import Profile
from features.snapshot import KEYS, Snapshot, make_snapshot
from features.spec import Dtype, Facts, Feature, FeatureSet

ARROW_TYPES: dict[Dtype, pa.DataType] = {
    "float64": pa.float64(),
    "int64": pa.int64(),
    "bool": pa.bool_(),
    "string": pa.string(),
}
RUNNING_VALUES, TEXT_WEIGHT = 40_000_000, 8
"""Customers times features that one pass computes without going to disk for them; a text counts as several."""
ZERO: dict[Dtype, Any] = {"float64": 0.0, "int64": 0, "bool": False, "string": ""}


@dataclass(frozen=True)
class Available:
    """Which features of a set a profile can give.

    Parameters
    ----------
    features : FeatureSet
        Those it can give, in order.
    absent : mapping of str to str
        The others, with the table or column that is missing.
    """

    features: FeatureSet
    absent: Mapping[str, str]


def available(profile: Profile, wanted: FeatureSet) -> Available:
    """Find the features of a set that a profile can give; the rest are absent, not faked.

    Parameters
    ----------
    profile : Profile
        The profile.
    wanted : FeatureSet
        What one would like.
    """
    snapshot = make_snapshot(profile.tables, [profile.known_until], profile.backend.name)
    return kept((*asked_of(profile.tables), wanted, "available"), lambda: _available(snapshot, wanted))


def _available(snapshot: Snapshot, wanted: FeatureSet) -> Available:
    absent = {feature.name: lacking for feature in wanted.features if (lacking := _lacking(snapshot, feature))}
    given = tuple(name for name in wanted.names if name not in absent)
    return Available(wanted.only(given), absent)


def _lacking(snapshot: Snapshot, feature: Feature) -> str | None:
    """Name the table or column that a feature lacks, if any."""
    for source in feature.sources:
        if lacking := _lacking(snapshot, source):
            return lacking
    if isinstance(feature.source, str):
        try:
            feature.build(Facts(snapshot.relation(feature.source), feature.source))
        except MissingTable as missing:
            return f"table {missing.table!r}"
        except MissingColumn as missing:
            return f"column {missing.table}.{missing.column}"
    return None


def feature_expression(snapshot: Snapshot, features: Sequence[Feature]) -> ir.Table:
    """Declare the feature table: one row a customer and prediction time, one column a feature.

    Parameters
    ----------
    snapshot : Snapshot
        What may be seen.
    features : sequence of Feature
        The columns, in order.

    Returns
    -------
    ibis table
        `customer_id` (string), `prediction_time` (int64 microseconds) and the features, in no order of rows.
    """
    rows = snapshot.spine()
    reduced, computed = _in_order_of_need(features)
    for source, members in reduced.items():
        joined = rows.left_join(_reduced(snapshot, source, members), KEYS)
        filled = {feature.name: _filled(feature, joined[feature.name]) for feature in members}
        rows = joined.select(*rows.columns, **filled)
    return _computed(rows, computed).select(*KEYS, *(feature.name for feature in features))


def _reduced(snapshot: Snapshot, source: str, members: Sequence[Feature]) -> ir.Table:
    """One aggregation pass over a relation; customers without a row in it are missing."""
    relation = snapshot.relation(source)
    facts = Facts(relation, source)
    return relation.group_by(KEYS).aggregate(**{f.name: _typed(f, f.build(facts)) for f in members})


def _computed(rows: ir.Table, computed: Sequence[Feature]) -> ir.Table:
    """Add the features that are computed from others."""
    for feature in computed:
        value = feature.build(*(rows[source.name] for source in feature.sources))
        rows = rows.mutate(**{feature.name: _filled(feature, _typed(feature, value))})
    return rows


def _in_order_of_need(features: Iterable[Feature]) -> tuple[dict[str, list[Feature]], list[Feature]]:
    """Sort features, and those they are computed from, into reductions by relation and computations in order."""
    reduced: dict[str, list[Feature]] = {}
    computed: list[Feature] = []

    def need(feature: Feature) -> None:
        for source in feature.sources:
            need(source)
        members = reduced.setdefault(feature.source, []) if isinstance(feature.source, str) else computed
        if feature not in members:
            members.append(feature)

    for feature in features:
        need(feature)
    return reduced, computed


def _typed(feature: Feature, value: Any) -> Any:
    return value.cast(feature.dtype if feature.dtype != "bool" else "boolean")


def _filled(feature: Feature, value: Any) -> Any:
    return value if feature.nullable else value.fill_null(ZERO[feature.dtype])


def build_features(profile: Profile, features: FeatureSet, prediction_times: Sequence[datetime]) -> pa.Table:
    """Build a feature table.

    Parameters
    ----------
    profile : Profile
        The profile; facts after a prediction time, or known only later, are not seen.
    features : FeatureSet
        The columns.
    prediction_times : sequence of datetime
        Aware instants.

    Returns
    -------
    pyarrow.Table
        `customer_id` (string), `prediction_time` (timestamp, UTC) and one column a feature, one row for every customer
        known at each prediction time, ordered by prediction time and customer. Null means what the catalogue says.

    Raises
    ------
    FeaturesUnavailable
        If the profile lacks a table or column that a feature needs.
    """
    _require(profile, features)
    times = sorted({to_us(instant) for instant in prediction_times})
    if is_worth_sorting(profile, features):
        summed = build_totals(profile, features, times)
        if summed is not None:
            return arrow_features(summed, features)
    relations = tuple(_in_order_of_need(features.features)[0])
    if is_worth_a_copy(profile, relations, len(times)):
        with numbered(profile, features.features, lambda tables: _declared(tables, features)) as copied:
            parts = [_build_numbered(profile, copied, features, time) for time in times]
            return arrow_features(pa.concat_tables(parts), features)

    in_order = ["prediction_time", "customer_id"]
    if not can_be_prepared(profile):
        rows = feature_rows(profile, features, prediction_times).order_by(in_order)
        return arrow_features(profile.backend.to_pyarrow(rows), features)

    def declare() -> ir.Table:
        snapshot = Snapshot(profile.tables, time_asked() if len(times) == 1 else times_asked(profile))
        return feature_expression(snapshot, features.features).order_by(in_order)

    asked = (*asked_of(profile.tables), features.features, len(times) == 1)
    return arrow_features(answer(profile, asked, declare, times), features)


def _declared(tables: Mapping[str, ir.Table], features: FeatureSet) -> ir.Table:
    """The rows at any one time, to find what they are made of."""
    return feature_expression(Snapshot(tables, 0), features.features)


def _build_numbered(profile: Profile, copied: Numbered, features: FeatureSet, time: int) -> pa.Table:
    """One relation after the other, each put in its place by number: what must fit in memory is one of them."""
    snapshot, tables = Snapshot(copied.tables, time_asked()), asked_of(copied.tables)
    reduced, computed = _in_order_of_need(features.features)
    in_order = answer(profile, (tables, "spine"), lambda: snapshot.spine().order_by("customer_id"), [time])
    known = in_order.column("customer_id")
    times = pa.repeat(pa.scalar(time), len(known))
    columns = {"customer_id": copied.names.take(known.combine_chunks()), "prediction_time": times}
    for members in _in_passes(reduced.values(), len(copied.names)):

        def declare(members: Sequence[Feature] = members) -> ir.Table:
            return feature_expression(snapshot, members).order_by("customer_id")

        part = answer(profile, (tables, *members), declare, [time])
        columns |= {feature.name: part.column(feature.name) for feature in members}
    if computed:
        needed = {source.name for feature in computed for source in feature.sources} & columns.keys()
        rows = pa.table({"number": known} | {name: columns[name] for name in sorted(needed)})
        found = answer_of(profile, tuple(computed), rows, lambda table: _computed(table, computed).order_by("number"))
        columns |= {feature.name: found.column(feature.name) for feature in computed}
    return pa.table({name: columns[name] for name in (*KEYS, *features.names)})


def _in_passes(relations: Iterable[Sequence[Feature]], customers: int) -> Iterator[Sequence[Feature]]:
    """As many features of a relation as the engine can hold the running values of, for all customers at once."""
    for members in relations:
        taken: list[Feature] = []
        weight = 0
        for feature in members:
            own = TEXT_WEIGHT if feature.dtype == "string" else 1
            if taken and (weight + own) * customers > RUNNING_VALUES:
                yield taken
                taken, weight = [], 0
            taken.append(feature)
            weight += own
        yield taken


def feature_rows(profile: Profile, features: FeatureSet, prediction_times: Sequence[datetime]) -> ir.Table:
    """Declare a profile's feature table, for its engine to run where the rows shall go.

    Parameters
    ----------
    profile, features, prediction_times
        As for `build_features`.

    Returns
    -------
    ibis table
        See `feature_expression`.

    Raises
    ------
    FeaturesUnavailable
        If the profile lacks a table or column that a feature needs.
    """
    _require(profile, features)
    snapshot = make_snapshot(profile.tables, prediction_times, profile.backend.name)
    return feature_expression(snapshot, features.features)


def _require(profile: Profile, features: FeatureSet) -> None:
    absent = available(profile, features).absent
    if absent:
        raise FeaturesUnavailable(dict(absent), f"feature set {features.name!r}")


def write_features(profile: Profile, features: FeatureSet, prediction_times: Sequence[datetime], file: Path) -> int:
    """Build a feature table and write it, whole or not at all.

    Parameters
    ----------
    profile, features, prediction_times
        As for `build_features`.
    file : Path
        Parquet, or CSV by its suffix. Of a profile on Spark a folder of Parquet files, which Spark's executors write;
        no row passes through this process.

    Returns
    -------
    int
        Number of rows.

    Raises
    ------
    FeaturesUnavailable
        If the profile lacks a table or column that a feature needs.
    OutputUnwritable
        If the file cannot be written.
    """
    if profile.backend.name == "pyspark":
        return _write_on_spark(profile, features, prediction_times, file)
    table = build_features(profile, features, prediction_times)
    write_table(table, file)
    return int(table.num_rows)


def write_table(table: pa.Table, file: Path) -> None:
    """Write a table as Parquet, or as CSV by the file's suffix, whole or not at all.

    Raises
    ------
    OutputUnwritable
        If it cannot be written; what stood there is as it was.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as partial:
            if file.suffix == ".csv":
                pa_csv.write_csv(table, partial)
            else:
                pq.write_table(table, partial, compression="zstd")
    except OSError as error:
        raise OutputUnwritable(str(file), error.strerror or str(error)) from error


def _write_on_spark(profile: Profile, features: FeatureSet, prediction_times: Sequence[datetime], folder: Path) -> int:
    from features.reading.spark import instants_of, write_folder  # noqa: PLC0415 - Spark is an extra

    if folder.suffix == ".csv":
        raise OutputUnwritable(str(folder), "Spark writes a folder of Parquet files, not CSV")
    frame: Any = profile.backend.frame(feature_rows(profile, features, prediction_times))
    return write_folder(instants_of(frame), folder)


def arrow_features(rows: pa.Table, features: FeatureSet) -> pa.Table:
    """Give an engine's answer the feature table's exact types."""
    time = rows.column("prediction_time").cast(pa.int64()).cast(pa.timestamp("us", tz="UTC"))
    columns = {"customer_id": rows.column("customer_id").cast(pa.string()), "prediction_time": time}
    columns |= {f.name: rows.column(f.name).cast(ARROW_TYPES[f.dtype]) for f in features.features}
    return pa.table(columns)


def feature_frame(table: pa.Table, features: FeatureSet) -> pd.DataFrame:
    """Lay a feature table out as models take it.

    Parameters
    ----------
    table : pyarrow.Table
        As `build_features` returns it.
    features : FeatureSet
        The columns to take, in order.

    Returns
    -------
    pandas.DataFrame
        float64 columns for numbers and flags (NaN where null), object columns of str or None for names.
    """
    columns = {}
    for feature in features.features:
        column = table.column(feature.name)
        if feature.dtype == "string":
            columns[feature.name] = pd.Series(column.to_pylist(), dtype=object)
        else:
            columns[feature.name] = pd.Series(pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False))
    return pd.DataFrame(columns)
