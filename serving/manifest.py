"""The account of a batch run: what was scored, by which models, what it comes to, and what was left out and why."""

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd
import pyarrow.compute as pc
import pyarrow.dataset as ds

from features import __version__
from features.account import count_orders
from features.categories import NO_CATEGORY, value_by_category
from features.contract import FACT_TABLES
from features.errors import listed
from features.instants import write_instant
from features.population import POPULATIONS
from features.profile import Profile
from models.clv import acquisition, equity
from models.clv.decomposition import TINY
from models.clv.equity import Equity
from models.decision import at_risk
from models.evidence import HISTORY, evidence_rule
from models.families import Task
from serving.champion import Champion
from serving.reasons import EFFECT_UNITS, TOP_PERCENTILE, Which, contribution_unit
from serving.scorer import NO_VALUE, Scorer
from serving.wording import read_language

SCORES, EXCLUDED, MANIFEST = "scores.parquet", "excluded.parquet", "manifest.json"
PROSPECTS = "prospects.parquet"
WRITTEN = (SCORES, EXCLUDED, PROSPECTS, MANIFEST)
"""Every name that a batch run writes."""
OPTIONAL = ("warnings", "quarantined", "without_value", "orders", "acquisition", "equity", "value_at_risk", "prospects")
STALE_DAYS = 30
"""From how many days without any fact on a reader is told."""
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
    warnings : list of str
        What a reader of all scores should know, beside what is known of each model.
    quarantined : dict of str to dict
        Rows read, used, quarantined and out of scope of each table from which any were left out.
    without_value : dict of str to int
        Scored customers without a value, by reason: other champions score them. Only where there are any.
    orders : dict of str to int
        Where the rows of `orders` went: `rows` = `used` + `after_prediction_time` + `known_later`.
    acquisition : list of dict
        What customers cost against what they are worth, in total and by acquisition channel: see
        `models.clv.acquisition.Acquisition`. Only where acquisition costs are known and customers are valued.
    equity : list of dict
        What all scored customers are worth together and what each segment is, with intervals: see
        `models.clv.equity.Equity`. Empty without a champion for lifetime value.
    value_at_risk : list of dict
        What of it is at risk, alike: see `models.decision.at_risk.total_at_risk`. Empty without one for churn as well.
    prospects : dict
        Those without any order for whom there is a forecast in ``prospects.parquet``: `customers`,
        `expected_first_orders` in the horizon, `clv` together, and the `evidence`. Empty where there are none.
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
    warnings: list[str] = field(default_factory=list)
    quarantined: dict[str, dict[str, int]] = field(default_factory=dict)
    without_value: dict[str, int] = field(default_factory=dict)
    orders: dict[str, int] = field(default_factory=dict)
    acquisition: list[dict[str, Any]] = field(default_factory=list)
    equity: list[dict[str, Any]] = field(default_factory=list)
    value_at_risk: list[dict[str, Any]] = field(default_factory=list)
    prospects: dict[str, Any] = field(default_factory=dict)
    reasons: dict[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """The manifest as plain data, without what there is none of."""
        return {name: value for name, value in asdict(self).items() if name not in OPTIONAL or value}


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
    costs: Costs,
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
    costs : mapping of str to Sums
        Sums of customers whose acquisition cost is known, by channel.
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
        warnings=[*_long_ago(profile, at), *_without_margin(profile, at, scorer)],
        quarantined={name: asdict(count) for name, count in profile.counts.items() if count.read > count.used},
        without_value=_without_value(folder / SCORES, scorer),
        orders=count_orders(profile, at),
        acquisition=_acquisition(costs, scorer),
        equity=_summed(folder / SCORES, scorer, equity.COLUMNS, equity.customer_equity),
        value_at_risk=_summed(folder / SCORES, scorer, at_risk.SOURCES, at_risk.total_at_risk),
        prospects=_prospects(folder / PROSPECTS, scorer),
        reasons=dict(telling),
    )


def _long_ago(profile: Profile, at: datetime) -> list[str]:
    """Say where facts end long before the prediction time: a feed that broke, or a wrong date."""
    if not any(profile.has(table) for table in FACT_TABLES):
        return []  # a flat table, without any date
    silent = (at - profile.known_until).days
    if silent < STALE_DAYS:
        return []
    last = write_instant(profile.known_until - timedelta(days=1))
    return [
        f"the last fact of the profile is of {last}, {silent:,} days before the prediction time: what customers have "
        "done since is not known, so that all of them look silent"
    ]


def _without_margin(profile: Profile, at: datetime, scorer: Scorer) -> list[str]:
    """Say what was ordered of categories for which no margin rate was set: it says nothing of a customer's own rate."""
    champion = scorer.champions.get("clv")
    margins = champion.kept.margins if champion else None
    if margins is None or margins.categories is None or margins.categories.rest is not None:
        return []
    values = value_by_category(profile, at)
    lacking = {category: value for category, value in values.items() if category not in margins.categories.margins}
    if not lacking:
        return []
    names = listed(sorted(NO_CATEGORY if category is None else category for category in lacking), 10)
    share = math.fsum(lacking.values()) / max(math.fsum(values.values()), TINY)
    return [
        f"no margin rate is known of {names}, {share:.1%} of the value ordered: a customer's own margin rate goes by "
        f"the other orders, and everyone's is {margins.rate:.1%}; train with a rate of it in margin_by_category, or "
        "with margin_rate for the rest"
    ]


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


def _acquisition(costs: Costs, scorer: Scorer) -> list[dict[str, Any]]:
    champion = scorer.champions.get("clv")
    if champion is None:
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
    wanted = [*columns, *(name for name in ("segment", equity.COST) if name in written.schema.names)]
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
            "evidence": _evidence_rule(task, champion),
            "high_value_threshold": champion.contract.high_value_threshold if task == "clv" else None,
            "warnings": list(champion.contract.warnings),
        }
        for task, champion in scorer.champions.items()
    }


def _evidence_rule(task: Task, champion: Champion) -> str | None:
    """By what rule customers have an evidence level; None of a task without."""
    return None if task == "segments" else evidence_rule(HISTORY in champion.features.names)
