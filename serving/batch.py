"""The batch job: score every customer of a profile as of one instant, whole or not at all."""

import hashlib
import json
import math
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from features import __version__
from features.account import count_orders
from features.builder import available, build_features
from features.catalogue import CATALOGUE
from features.errors import EmptyCohort, FeaturesUnavailable, OutputUnwritable
from features.folders import swap_folder
from features.instants import write_instant
from features.population import POPULATIONS, population_feature
from features.profile import Profile
from features.spec import FeatureSet
from models.clv import acquisition, equity
from models.clv.equity import Equity
from models.decision import at_risk
from serving.scorer import NO_VALUE, Scored, Scorer
from serving.store import new_store

SCORES, EXCLUDED, MANIFEST = "scores.parquet", "excluded.parquet", "manifest.json"
PROSPECTS = "prospects.parquet"
OPTIONAL = ("quarantined", "without_value", "orders", "acquisition", "equity", "value_at_risk", "prospects")
Members: TypeAlias = Mapping[tuple[str, bool], int]
Total: TypeAlias = Callable[[Iterable[pd.DataFrame], Sequence[float]], list[Equity]]
Costs: TypeAlias = Mapping[str, acquisition.Sums]


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
    without_value : dict of str to int
        Scored customers without a value, by reason: other champions score them. Only where there are any.
    orders : dict of str to int
        Where the rows of `orders` went: `rows` = `used` + `after_prediction_time` + `known_later`.
    acquisition : list of dict
        What customers cost against what they are worth, in total and by acquisition channel: see
        `models.clv.acquisition.Acquisition`. Only where acquisition costs are known and orders are valued.
    equity : list of dict
        What all scored customers are worth together and what each segment is, with intervals: see
        `models.clv.equity.Equity`. Empty without a champion for lifetime value.
    value_at_risk : list of dict
        What of it is at risk, alike: see `models.decision.at_risk.total_at_risk`. Empty without one for churn as well.
    prospects : dict
        Of the excluded, those without any order for whom there is a forecast in ``prospects.parquet``: `customers`,
        `expected_first_orders` in the horizon, `clv` together, and the `evidence`. Empty where there are none.
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
    without_value: dict[str, int] = field(default_factory=dict)
    orders: dict[str, int] = field(default_factory=dict)
    acquisition: list[dict[str, Any]] = field(default_factory=list)
    equity: list[dict[str, Any]] = field(default_factory=list)
    value_at_risk: list[dict[str, Any]] = field(default_factory=list)
    prospects: dict[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """The manifest as plain data, without what there is none of."""
        return {name: value for name, value in asdict(self).items() if name not in OPTIONAL or value}


def score_profile(profile: Profile, at: datetime, folder: Path, scorer: Scorer, store: Path | None = None) -> Manifest:
    """Score every customer and write the scores.

    Parameters
    ----------
    profile : Profile
        Valid.
    at : datetime
        Prediction time.
    folder : Path
        Gets ``scores.parquet``, ``excluded.parquet``, ``manifest.json`` and, where prospects can be forecast,
        ``prospects.parquet``; replaced as a whole, or left as it was.
    scorer : Scorer
        With the champions.
    store : Path, optional
        The online store to fill with the same customers.

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
    """
    wanted, population = cohort_features(profile, scorer)
    table = build_features(profile, wanted, [at])
    scored = scorer.score(table)
    if scored.scores.num_rows == 0:
        raise EmptyCohort(
            write_instant(at),
            f"{table.num_rows:,} customers known, all with {scorer.reason(scorer.champions)}",
            "Choose a later --at, or check the times of orders and subscriptions.",
        )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as temporary:
            made = Path(temporary) / "new"
            names = table[population].to_pylist() if population else [""] * table.num_rows
            members = Counter(zip(names, scorer.knows(table).to_pylist(), strict=True))
            manifest = _write(made, profile, at, scorer, members, scored, _costs(table, scored.scores))
            with new_store(store, table, scorer.features) if store else nullcontext() as use_new_store:
                swap_folder(made, folder, Path(temporary) / "old")
                if use_new_store:
                    use_new_store()
    except OSError as error:
        raise OutputUnwritable(str(folder), error.strerror or str(error)) from error
    return manifest


def cohort_features(profile: Profile, scorer: Scorer) -> tuple[FeatureSet, str]:
    """The champions' features and the one that tells populations apart, with the name of that one, if there is one.

    Where orders are valued and acquisition costs are known, also what `models.clv.acquisition` takes.

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
    wanted = dict.fromkeys((*scorer.features.features, *told))
    champion = scorer.champions.get("clv")
    if champion is not None and champion.asks_for_value:
        spent = FeatureSet("acquisition", 1, tuple(CATALOGUE[name] for name in acquisition.COLUMNS[:3]))
        found = available(profile, spent)
        wanted |= dict.fromkeys(() if found.absent else found.features.features)
    return FeatureSet("cohort", 1, tuple(wanted)), population.name if population else ""


def _write(
    folder: Path, profile: Profile, at: datetime, scorer: Scorer, members: Members, scored: Scored, costs: Costs
) -> Manifest:
    folder.mkdir()
    pq.write_table(scored.scores, folder / SCORES, compression="zstd")
    pq.write_table(scored.excluded, folder / EXCLUDED, compression="zstd")
    if scored.prospects.num_rows:
        pq.write_table(scored.prospects, folder / PROSPECTS, compression="zstd")
    reasons = Counter(scored.excluded.column("reason").to_pylist())
    manifest = make_manifest(profile, at, scorer, members, reasons, folder, costs)
    (folder / MANIFEST).write_text(json.dumps(manifest.document(), indent=1) + "\n")
    return manifest


def make_manifest(
    profile: Profile,
    at: datetime,
    scorer: Scorer,
    members: Members,
    reasons: Mapping[str, int],
    folder: Path,
    costs: Costs,
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
    costs : mapping of str to Sums
        Sums of customers whose acquisition cost is known, by channel.
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
        without_value=_without_value(folder / SCORES, scorer),
        orders=count_orders(profile, at),
        acquisition=_acquisition(costs, scorer),
        equity=_summed(folder / SCORES, scorer, equity.COLUMNS, equity.customer_equity),
        value_at_risk=_summed(folder / SCORES, scorer, at_risk.SOURCES, at_risk.total_at_risk),
        prospects=_prospects(folder / PROSPECTS, scorer),
    )


def _prospects(written: Path, scorer: Scorer) -> dict[str, Any]:
    """Count the forecast prospects and sum up what is expected of them."""
    if not written.exists():
        return {}
    found = ds.dataset(written, format="parquet").to_table(columns=["probability_active", "clv"]).to_pandas()
    kept = scorer.champions["clv"].kept.prospects
    learned = f"low: learned from {kept.first_orders:,} first orders" if kept else "low"
    return {
        "customers": len(found),
        "expected_first_orders": round(math.fsum(found["probability_active"]), 2),
        "clv": round(math.fsum(found["clv"]), 2),
        "evidence": learned,
    }


def _without_value(scores: Path, scorer: Scorer) -> dict[str, int]:
    """Rows of written scores for which the champion of lifetime value has none."""
    champion = scorer.champions.get("clv")
    if champion is None:
        return {}
    tally = ds.dataset(scores, format="parquet").count_rows(filter=pc.field("clv").is_null())
    reason = NO_VALUE if champion.asks_for_value else scorer.reason(["clv"])
    return {reason: tally} if tally else {}


def _costs(table: pa.Table, scores: pa.Table) -> Costs:
    """Sums of the scored customers whose acquisition cost is known; none where no cost or no value is."""
    names = ["customer_id", *acquisition.COLUMNS[:3]]
    if not {*names, "clv"} <= {*table.column_names, *scores.column_names}:
        return {}
    known = table.select(names).to_pandas()
    values = scores.select(["customer_id", *acquisition.COLUMNS[3:]]).to_pandas()
    return acquisition.acquisition_sums(values.merge(known, on="customer_id", validate="one_to_one"))


def _acquisition(costs: Costs, scorer: Scorer) -> list[dict[str, Any]]:
    champion = scorer.champions.get("clv")
    if champion is None or not champion.asks_for_value:
        return []
    contract = champion.contract
    rate = 1.0 if contract.margin_rate is None else contract.margin_rate
    found = acquisition.acquisition_of(costs, champion.kept.model, rate, contract.total_errors)
    return [asdict(each) for each in found]


def _summed(scores: Path, scorer: Scorer, columns: Sequence[str], total: Total) -> list[dict[str, Any]]:
    """Sum columns of written scores, a part at a time; nothing where they lack one."""
    written = ds.dataset(scores, format="parquet")
    if not set(columns) <= set(written.schema.names):
        return []
    wanted = [*columns, *(["segment"] if "segment" in written.schema.names else [])]
    batches = (batch.to_pandas() for batch in written.to_batches(columns=wanted))
    errors = scorer.champions["clv"].contract.total_errors
    return [asdict(each) for each in total(batches, errors)]


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
            "high_value_threshold": champion.contract.high_value_threshold if task == "clv" else None,
            "warnings": list(champion.contract.warnings),
        }
        for task, champion in scorer.champions.items()
    }
