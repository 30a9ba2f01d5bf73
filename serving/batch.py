"""The batch job: score every customer of a profile as of one instant, whole or not at all."""

import hashlib
import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, nullcontext
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from features import __version__
from features.builder import available, build_features
from features.errors import EmptyCohort, FeaturesUnavailable, OutputUnwritable
from features.folders import swap_folder
from features.instants import write_instant
from features.population import POPULATIONS, population_feature
from features.profile import Profile
from features.spec import FeatureSet
from models.clv import equity
from models.evidence import HISTORY, evidence_rule
from models.families import Task
from serving.reasons import EFFECT_UNITS, TOP_PERCENTILE, Which, contribution_unit
from serving.scorer import Champion, Scored, Scorer
from serving.store import new_store
from serving.wording import read_language

SCORES, EXCLUDED, MANIFEST = "scores.parquet", "excluded.parquet", "manifest.json"
PART_ROWS = 50_000
"""Customers scored at a time."""
Members: TypeAlias = Mapping[tuple[str, bool], int]


@dataclass(frozen=True)
class Manifest:
    """What a batch run did; it holds no clock, so that the same inputs give the same bytes.

    Parameters
    ----------
    prediction_time : str
        As of when.
    cohort, scored, excluded : int
        Customers known by then; those with a row in the scores; the others. ``cohort = scored + excluded``.
    excluded_by_reason : dict of str to int
        Why the others have none.
    population : dict of str to dict
        Scored and excluded customers of each population (prospect, active, at risk, lapsed, former); they add up to
        the cohort.
    models : dict of str to dict
        Version, family, fingerprint, cutoff, label, bands and warnings of each task's champion.
    profile_digest, package_version : str
        SHA-256 of the profile, version of Patron.
    is_simulated : bool
        Whether the profile was simulated.
    files : dict of str to str
        SHA-256 of each file beside the manifest.
    quarantined : dict of str to dict
        Rows read, used, quarantined and out of scope of each table from which any were left out.
    equity : list of dict
        What all scored customers are worth together and what each segment is, with intervals: see
        `models.clv.equity.Equity`. Empty without a champion for lifetime value.
    reasons : dict
        Whose reasons were told, in which language, and what their contributions and effects are measured in.
    """

    prediction_time: str
    cohort: int
    scored: int
    excluded: int
    excluded_by_reason: dict[str, int]
    population: dict[str, dict[str, int]]
    models: dict[str, dict[str, Any]]
    profile_digest: str
    is_simulated: bool
    package_version: str
    files: dict[str, str]
    quarantined: dict[str, dict[str, int]] = field(default_factory=dict)
    equity: list[dict[str, Any]] = field(default_factory=list)
    reasons: dict[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """The manifest as plain data; `quarantined` and `equity` only where there is any."""
        return {name: value for name, value in asdict(self).items() if name not in ("quarantined", "equity") or value}


def score_profile(
    profile: Profile,
    at: datetime,
    folder: Path,
    scorer: Scorer,
    store: Path | None = None,
    reasons: Which = "top",
    language: str = "en",
) -> Manifest:
    """Score every customer and write the scores.

    Parameters
    ----------
    profile : Profile
        Valid.
    at : datetime
        Prediction time.
    folder : Path
        Gets ``scores.parquet``, ``excluded.parquet`` and ``manifest.json``; replaced as a whole, or left as it was.
    scorer : Scorer
        With the champions.
    store : Path, optional
        The online store to fill with the same customers.
    reasons, language
        As `Scorer.score` takes them. Customers are scored in parts, so that memory does not grow with the reasons.

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
    UnknownName
        If the language is not one of them.
    """
    telling = telling_of(scorer, reasons, language)
    wanted, population = cohort_features(profile, scorer)
    table = build_features(profile, wanted, [at])
    eligible = scorer.eligible(table).to_pylist()
    if not any(eligible):
        raise EmptyCohort(
            write_instant(at),
            f"{table.num_rows:,} customers known, all with {scorer.reason(scorer.champions)}",
            "Choose a later --at, or check orders.event_time.",
        )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as temporary:
            made = Path(temporary) / "new"
            names = table[population].to_pylist() if population else [""] * table.num_rows
            members = Counter(zip(names, eligible, strict=True))
            parts = (scorer.score(part, None, reasons, language) for part in _parts(table))
            manifest = _write(made, profile, at, scorer, members, parts, telling)
            with new_store(store, table, scorer.features) if store else nullcontext() as use_new_store:
                swap_folder(made, folder, Path(temporary) / "old")
                if use_new_store:
                    use_new_store()
    except OSError as error:
        raise OutputUnwritable(str(folder), error.strerror or str(error)) from error
    return manifest


def cohort_features(profile: Profile, scorer: Scorer) -> tuple[FeatureSet, str]:
    """The champions' features and the one that tells populations apart, with the name of that one, if there is one.

    Raises
    ------
    FeaturesUnavailable
        If the profile lacks what a champion's features need.
    """
    absent = available(profile, scorer.features).absent
    if absent:
        raise FeaturesUnavailable(dict(absent), "a champion")
    population = population_feature(profile)
    told = (population,) if population else ()
    return FeatureSet("cohort", 1, (*scorer.features.features, *told)), population.name if population else ""


def _parts(table: pa.Table) -> Iterator[pa.Table]:
    """A feature table in parts of so many customers."""
    return (table.slice(first, PART_ROWS) for first in range(0, table.num_rows, PART_ROWS))


def _write(
    folder: Path,
    profile: Profile,
    at: datetime,
    scorer: Scorer,
    members: Members,
    parts: Iterable[Scored],
    telling: Mapping[str, Any],
) -> Manifest:
    folder.mkdir()
    excluded_by_reason: Counter[str] = Counter()
    with ExitStack() as files:
        writers: dict[str, pq.ParquetWriter] = {}
        for part in parts:
            for name, rows in ((SCORES, part.scores), (EXCLUDED, part.excluded)):
                if name not in writers:
                    writer = pq.ParquetWriter(folder / name, rows.schema, compression="zstd")
                    writers[name] = files.enter_context(writer)
                if rows.num_rows:
                    writers[name].write_table(rows)
            excluded_by_reason.update(part.excluded.column("reason").to_pylist())
    manifest = make_manifest(profile, at, scorer, members, excluded_by_reason, folder, telling)
    (folder / MANIFEST).write_text(json.dumps(manifest.document(), indent=1) + "\n")
    return manifest


def telling_of(scorer: Scorer, reasons: Which, language: str) -> dict[str, Any]:
    """How reasons are told, for the manifest.

    Raises
    ------
    UnknownName
        If the language is not one of them.
    """
    return {
        "which": reasons,
        "top_percentile": TOP_PERCENTILE,
        "language": read_language(language).code,
        "units": {
            task: {"contribution": contribution_unit(champion.kept), "effect": EFFECT_UNITS[task]}
            for task, champion in scorer.champions.items()
        },
    }


def make_manifest(
    profile: Profile,
    at: datetime,
    scorer: Scorer,
    members: Members,
    reasons: Mapping[str, int],
    folder: Path,
    telling: Mapping[str, Any],
) -> Manifest:
    """Account for a run whose files lie in a folder.

    Parameters
    ----------
    profile, at, scorer
        What was scored, as of when and with what.
    members : mapping of (str, bool) to int
        Customers known, by population and whether they have a score.
    reasons : mapping of str to int
        How many of the others were excluded, by reason.
    folder : Path
        With every file but the manifest.
    telling : mapping
        How the reasons of scores are told.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return Manifest(
        prediction_time=write_instant(at),
        cohort=sum(members.values()),
        scored=sum(tally for (_, is_scored), tally in members.items() if is_scored),
        excluded=sum(reasons.values()),
        excluded_by_reason=dict(sorted(reasons.items())),
        population={
            name: {"scored": members.get((name, True), 0), "excluded": members.get((name, False), 0)}
            for name in POPULATIONS
            if any(population for population, _ in members)
        },
        models=describe_models(scorer),
        profile_digest=profile.digest,
        is_simulated=profile.is_simulated,
        package_version=__version__,
        files={path.relative_to(folder).as_posix(): _sha256(path) for path in files},
        quarantined={name: asdict(count) for name, count in profile.counts.items() if count.read > count.used},
        equity=_equity(folder / SCORES, scorer),
        reasons=dict(telling),
    )


def _equity(scores: Path, scorer: Scorer) -> list[dict[str, Any]]:
    """Sum the value columns of written scores, a part at a time."""
    if "clv" not in scorer.champions:
        return []
    written = ds.dataset(scores, format="parquet")
    columns = [name for name in (*equity.COLUMNS, "segment") if name in written.schema.names]
    batches = (batch.to_pandas() for batch in written.to_batches(columns=columns))
    bias = scorer.champions["clv"].contract.bias_total_value
    return [asdict(each) for each in equity.customer_equity(batches, bias)]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def describe_models(scorer: Scorer) -> dict[str, dict[str, Any]]:
    """The champions in words and numbers, for manifests and `/v1/models`."""
    return {
        task: {
            "version": champion.version,
            "family": champion.contract.family,
            "feature_fingerprint": champion.contract.fingerprint,
            "cutoff": write_instant(champion.contract.cutoff) if champion.contract.is_dated else None,
            "horizon_days": champion.contract.horizon_days,
            "gap_days": champion.contract.gap_days,
            "label": champion.contract.label,
            "outcome": champion.contract.outcome,
            "eligible": champion.contract.eligible,
            "currency": champion.contract.currency,
            "margin_rate": champion.contract.margin_rate,
            "annual_discount_rate": champion.contract.annual_discount_rate,
            "annual_cost_to_serve": champion.contract.annual_cost_to_serve,
            "customers": champion.contract.customers,
            "is_simulated": champion.contract.is_simulated,
            "band_thresholds": champion.contract.band_thresholds,
            "evidence": _evidence_rule(task, champion),
            "high_value_threshold": champion.contract.high_value_threshold if task == "clv" else None,
            "warnings": list(champion.contract.warnings),
        }
        for task, champion in scorer.champions.items()
    }


def _evidence_rule(task: Task, champion: Champion) -> str | None:
    """By what rule customers have an evidence level; None of a task without."""
    return None if task == "segments" else evidence_rule(HISTORY in champion.features.names)
