"""The batch job on Apache Spark: each executor scores the customers it holds, and writes what it scored.

The champions travel as the bytes of their text files; every partition loads its scorer from them, once, checked against
their manifest. The executors run with this package installed. No row of a customer passes through the driver, which is
why the online store, a file of the driver's, is not filled. Only this module and `features.reading.spark` import
pyspark.
"""

import functools
import json
import math
import operator
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
from pyspark import StorageLevel
from pyspark.sql import functions as sf
from pyspark.sql.pandas.types import from_arrow_schema

from features.eligibility import Eligibility
from features.engine.builder import ARROW_TYPES, arrow_features, feature_rows
from features.errors import EmptyCohort, OutputUnwritable
from features.folders import require_replaceable, swap_folder
from features.instants import write_instant
from features.profile import Profile
from features.reading.spark import spark_errors, write_parts
from models.clv import acquisition
from models.clv.acquisition import UNKNOWN, Sums
from models.clv.equity import COST
from models.families import Task
from models.persistence import load, save
from serving.batch import cohort_features
from serving.champion import NET_VALUE, Champion
from serving.currency import currency_of, require_currency
from serving.manifest import (
    EXCLUDED,
    MANIFEST,
    PROSPECTS,
    SCORES,
    WRITTEN,
    Manifest,
    Members,
    make_manifest,
    telling_of,
)
from serving.reasons import Which
from serving.scorer import NO_VALUE, Scored, Scorer
from serving.telling import in_sample, top_above

Shipped = dict[Task, tuple[str, dict[str, bytes]]]
"""Version and files of each task's champion."""


def score_on_spark(
    profile: Profile, at: datetime, folder: Path, scorer: Scorer, reasons: Which = "top", language: str = "en"
) -> Manifest:
    """Score every customer of a profile on Spark and write the scores.

    Parameters
    ----------
    profile : Profile
        Valid, opened by Spark (``spark://...``).
    at : datetime
        Prediction time.
    folder : Path
        As `serving.batch.score_profile` fills it, but ``scores.parquet`` and ``excluded.parquet`` are folders of
        Parquet files; on a file system that every executor can write to.
    scorer : Scorer
        With the champions.
    reasons, language
        As `Scorer.score` takes them.

    Returns
    -------
    Manifest
        As written.

    Raises
    ------
    FeaturesUnavailable
        If the profile lacks what a champion's features need.
    EmptyCohort
        If nobody can be scored.
    OutputUnwritable
        If the folder cannot be written.
    OutputTaken
        If it holds anything that no run wrote.
    CurrencyDiffers
        If its amounts are in another currency than a champion learned from.
    SparkFailed
        If Spark stops.
    UnknownName
        If the language is not one of them.
    """
    require_replaceable(folder, WRITTEN)
    telling = telling_of(scorer, reasons, language)
    require_currency(currency_of(profile), scorer.contracts)
    wanted, population = cohort_features(profile, scorer)
    rows = feature_rows(profile, wanted, [at])
    with spark_errors():
        engine: Any = profile.backend
        features = engine.frame(rows).persist(StorageLevel.DISK_ONLY)
        try:
            return _write(features, profile, at, folder, scorer, population, telling)
        except OSError as error:
            raise OutputUnwritable(str(folder), error.strerror or str(error)) from error
        finally:
            features.unpersist()


def _write(
    features: Any,
    profile: Profile,
    at: datetime,
    folder: Path,
    scorer: Scorer,
    population: str,
    telling: Mapping[str, Any],
) -> Manifest:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as temporary:
        made = Path(temporary) / "new"
        made.mkdir()
        left_out = _left_out(scorer)
        members, reasons = _counted(features, population, left_out, Path(temporary) / "counts")
        cohort = sum(members.values())
        if sum(reasons.values()) == cohort:
            why = " or ".join(sorted(reasons)) or scorer.reason(scorer.champions)
            raise EmptyCohort(
                write_instant(at),
                f"{cohort:,} customers known, all with {why}",
                "Choose a later --at, or check the times and values of orders and the times of subscriptions.",
            )
        shipped, schemas = ship(scorer), _answer(scorer)
        above = (
            _top_above(features, scorer, shipped, cohort, Path(temporary) / "stakes")
            if telling["which"] == "top"
            else math.inf
        )
        told = telling["which"], telling["language"], above
        telling = {**telling, "value_at_risk_above": above if math.isfinite(above) else None}
        schema = from_arrow_schema(schemas.scores.schema)
        scores = features.filter(left_out.isNull()).mapInArrow(_scoring(shipped, "scores", *told), schema)
        write_parts(scores, made / SCORES)
        left = features.filter(left_out.isNotNull())
        write_parts(left.select("customer_id", left_out.alias("reason")), made / EXCLUDED)
        if schemas.prospects.num_columns:
            schema = from_arrow_schema(schemas.prospects.schema)
            never = ~_condition(scorer.champions["clv"].eligible)
            waiting = features.filter(never).mapInArrow(_scoring(shipped, "prospects", *told), schema)
            if not write_parts(waiting, made / PROSPECTS):
                shutil.rmtree(made / PROSPECTS)
        manifest = make_manifest(
            profile, at, scorer, members, reasons, made, _costs(scorer, features, made / SCORES), telling
        )
        (made / MANIFEST).write_text(json.dumps(manifest.document(), indent=1) + "\n")
        swap_folder(made, folder, Path(temporary) / "old", WRITTEN)
    return manifest


def _left_out(scorer: Scorer) -> Any:
    """Why a customer has no score, null of those who have one: as `Scorer.reasons_left_out`, on Spark."""
    champions = scorer.champions.values()
    is_known = functools.reduce(operator.or_, map(_knows, champions))
    is_worthless = functools.reduce(operator.or_, (_condition(champion.eligible) for champion in champions))
    nothing = scorer.reason(scorer.champions)
    return sf.when(is_known, None).when(is_worthless, NO_VALUE).otherwise(nothing)


def _counted(features: Any, population: str, left_out: Any, folder: Path) -> tuple[Members, Mapping[str, int]]:
    """Customers by population and whether they have a score, and by reason those who have none."""
    name = sf.col(population) if population else sf.lit("")
    tallies = features.groupBy(name.alias("population"), left_out.alias("reason")).agg(sf.count("*").alias("customers"))
    write_parts(tallies, folder)
    members: Counter[tuple[str, bool]] = Counter()
    reasons: Counter[str] = Counter()
    for row in ds.dataset(folder, format="parquet").to_table().to_pylist():
        members[row["population"], row["reason"] is None] += row["customers"]
        if row["reason"] is not None:
            reasons[row["reason"]] += row["customers"]
    return members, reasons


def _top_above(features: Any, scorer: Scorer, shipped: Shipped, cohort: int, folder: Path) -> float:
    """As `serving.batch` finds it, on Spark: the sample's values at risk come here, nothing else of its customers."""
    if not {"churn", "clv"} <= set(scorer.champions):
        return math.inf

    def stakes(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from serving.spark import stake_batches  # noqa: PLC0415 - as in `_scoring`

        return stake_batches(shipped, batches, cohort)

    write_parts(features.mapInArrow(stakes, "at_risk double"), folder)
    return top_above(ds.dataset(folder, format="parquet").to_table()["at_risk"].to_numpy())


def _costs(scorer: Scorer, features: Any, scores: Path) -> dict[str, Sums]:
    """As `serving.batch` sums them, on Spark."""
    values = features.sparkSession.read.parquet(scores.absolute().as_uri())
    champion = scorer.champions.get("clv")
    if champion is None:
        return {}
    bought = champion.bought.name
    if not {acquisition.SPENT, bought, "clv"} <= {*features.columns, *values.columns}:
        return {}
    known = [name for name in acquisition.KNOWN if name in features.columns]
    channel = [acquisition.CHANNEL] if acquisition.CHANNEL in known else []
    spent = features.select("customer_id", *known, sf.coalesce(bought, sf.lit(0.0)).alias(bought))
    both = values.select("customer_id", *acquisition.SCORED).join(spent, "customer_id")
    spent_on = both.filter(sf.col(acquisition.SPENT).isNotNull() & sf.col("clv").isNotNull())
    sums = spent_on.groupBy(sf.coalesce(*channel, sf.lit(UNKNOWN)).alias("channel")).agg(
        sf.count("*").alias("customers"),
        sf.sum(acquisition.SPENT).alias("cost"),
        sf.sum(sf.col("margin_rate") * sf.col(bought)).alias("margin"),
        sf.sum("clv").alias("clv"),
        sf.sum(sf.col("clv_standard_deviation") ** 2).alias("variance"),
        sf.sum(COST).alias("least"),
    )
    folder = scores.parent.parent / "costs"
    write_parts(sums, folder)
    rows: list[dict[str, Any]] = ds.dataset(folder, format="parquet").to_table().to_pylist()
    return {row.pop("channel"): Sums(**row) for row in rows}


def _condition(eligible: Eligibility) -> Any:
    """Whom a champion scores, as Spark decides it."""
    if eligible.feature is None:
        return sf.lit(True)
    column = sf.col(eligible.feature.name)
    return sf.coalesce(column.isin(list(eligible.levels)), sf.lit(False)) if eligible.levels else column.isNotNull()


def _knows(champion: Champion) -> Any:
    """As `Champion.knows`, on Spark."""
    known = _condition(champion.eligible)
    return known & sf.coalesce(sf.col(NET_VALUE) > 0, sf.lit(False)) if champion.asks_for_value else known


def _answer(scorer: Scorer) -> Scored:
    """The scorer's answer to nobody, for its columns."""
    keys = {"customer_id": pa.string(), "prediction_time": pa.timestamp("us", tz="UTC")}
    columns = {feature.name: ARROW_TYPES[feature.dtype] for feature in scorer.features.features}
    nobody = pa.schema(keys | columns).empty_table()
    return scorer.score(nobody)


def ship(scorer: Scorer) -> Shipped:
    """The champions as bytes of text files, which is all that leaves the driver."""
    shipped: Shipped = {}
    for task, champion in scorer.champions.items():
        with tempfile.TemporaryDirectory() as temporary:
            files = save(champion.kept, Path(temporary) / "model").iterdir()
            shipped[task] = champion.version, {file.name: file.read_bytes() for file in files}
    return shipped


def unship(shipped: Shipped) -> Scorer:
    """The scorer of shipped champions.

    Raises
    ------
    ModelDamaged
        If a file is not what its manifest says.
    """
    champions: dict[Task, Champion] = {}
    for task, (version, files) in shipped.items():
        with tempfile.TemporaryDirectory() as temporary:
            for name, content in files.items():
                (Path(temporary) / name).write_bytes(content)
            champions[task] = Champion(version, load(Path(temporary)))
    return Scorer(champions)


def _scoring(
    shipped: Shipped, table: str, reasons: Which, language: str, at_risk_above: float
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """The function that Spark sends to every partition: a call of `score_batches`, nothing else."""

    def score(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from serving.spark import score_batches  # noqa: PLC0415 - found on the executor, not sent there

        return score_batches(shipped, batches, table, reasons, language, at_risk_above)

    return score


def score_batches(
    shipped: Shipped,
    batches: Iterator[pa.RecordBatch],
    table: str = "scores",
    reasons: Which = "all",
    language: str = "en",
    at_risk_above: float = math.inf,
) -> Iterator[pa.RecordBatch]:
    """Score a partition's customers, with one scorer for all its batches; `table` names the one of `Scored`."""
    scorer = unship(shipped)
    for batch in batches:
        rows = arrow_features(pa.Table.from_batches([batch]), scorer.features)
        yield from getattr(scorer.score(rows, None, reasons, language, at_risk_above), table).to_batches()


def stake_batches(shipped: Shipped, batches: Iterator[pa.RecordBatch], cohort: int) -> Iterator[pa.RecordBatch]:
    """Value at risk of a partition's customers who are in the sample that says where the top decile begins."""
    scorer = unship(shipped)
    for batch in batches:
        rows = pa.Table.from_batches([batch])
        rows = rows.filter(pa.array(in_sample(rows["customer_id"].to_pylist(), cohort)))
        at_risk = scorer.stakes(arrow_features(rows, scorer.features))
        yield pa.RecordBatch.from_pydict({"at_risk": pa.array(at_risk, pa.float64())})
