"""Where a plan's customers come from: scores of a batch run, or a profile that is scored for it."""

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.engine.builder import build_features, feature_frame
from features.instants import DAY_US
from features.profile import Profile
from features.snapshot import make_snapshot
from features.spec import FeatureSet
from models.base import Array
from models.decision.uplift import KeptUplift, load_uplift
from serving.batch import cohort_features
from serving.currency import currency_of, require_currency
from serving.errors import ContactsUnknown, ScoresUnfit, UpliftMissing
from serving.manifest import MANIFEST, SCORES
from serving.plan_config import PlanConfig, Rules
from serving.scorer import Scorer


@dataclass(frozen=True)
class Learned:
    """What a campaign has shown of an action.

    Parameters
    ----------
    kept : KeptUplift
        The learner and what was found of it.
    uplift : ndarray of shape (n,)
        What a contact changes in the probability of an order, or in margin, of each customer.
    """

    kept: KeptUplift
    uplift: Array


@dataclass(frozen=True)
class Customers:
    """Scored customers.

    Parameters
    ----------
    source : str
        Where they were read from, for messages.
    table : pyarrow.Table
        Score columns, and features where they came from a profile.
    prediction_time : datetime
        As of when.
    contacted : frozenset of str
        Those to be left alone since they were contacted a short while ago.
    is_simulated : bool
        Whether the profile was simulated.
    learned : mapping of str to Learned
        By action, what is known of it from a campaign.
    tell : callable, optional
        Gives rows of the table their reasons; by default those that stand in it are taken.
    currency : str or None
        Of amounts.
    """

    source: str
    table: pa.Table = field(repr=False)
    prediction_time: datetime
    contacted: frozenset[str] = frozenset()
    is_simulated: bool = False
    learned: Mapping[str, Learned] = field(default_factory=dict, repr=False)
    tell: Callable[[pa.Table], pa.Table] | None = field(default=None, repr=False)
    currency: str | None = None


def scores_file(source: str) -> Path | None:
    """The scores at a place; None where it is something else, such as a profile."""
    path = Path(source)
    if path.name == SCORES and path.exists():
        return path
    return path / SCORES if (path / SCORES).exists() else None


def customers_of_scores(file: Path, rules: Rules, open_profile: Callable[[], Profile] | None) -> Customers:
    """Read the customers of a batch run.

    Parameters
    ----------
    file : Path
        ``scores.parquet``, a file or a folder of Parquet files.
    rules : Rules
        Of the plan.
    open_profile : callable, optional
        Gives the profile that says who was contacted.

    Raises
    ------
    ScoresUnfit
        If the file cannot be read or holds nobody.
    ContactsUnknown
        If the rules ask who was contacted and nothing says so.
    """
    try:
        table = pq.read_table(file)
    except (OSError, pa.ArrowException) as error:
        raise ScoresUnfit(str(file), [str(error).splitlines()[0]], "scores that patron score has written") from None
    if not table.num_rows or not {"customer_id", "prediction_time"} <= set(table.column_names):
        raise ScoresUnfit(str(file), ["customers"], "scores that patron score has written")
    at = pc.max(table["prediction_time"]).as_py()
    contacted: frozenset[str] = frozenset()
    if rules.quiet_days is not None:
        if open_profile is None:
            raise ContactsUnknown(str(file), rules.quiet_days)
        contacted = contacted_lately(open_profile(), at, rules)
    manifest = file.parent / MANIFEST
    said: dict[str, Any] = json.loads(manifest.read_text()) if manifest.is_file() else {}
    currency = said.get("models", {}).get("clv", {}).get("currency")
    return Customers(str(file), table, at, contacted, bool(said.get("is_simulated")), currency=currency)


def customers_of_profile(
    profile: Profile,
    at: datetime | None,
    scorer: Scorer,
    rules: Rules,
    learners: Mapping[str, KeptUplift] = MappingProxyType({}),
    language: str = "en",
) -> Customers:
    """Score the customers of a profile, with their features beside the scores.

    Parameters
    ----------
    profile : Profile
        Valid. One on Spark is scored there, by way of the temporary folder (`TMPDIR`); its features stay there.
    at : datetime, optional
        Prediction time; by default all that the profile knows.
    scorer : Scorer
        With the champions.
    rules : Rules
        Of the plan.
    learners : mapping of str to KeptUplift
        By action, what tells of each customer what the action changes; see `read_learners`.
    language : {"en", "ru", "pl"}
        Of the reasons, which are told of the customers on the list only.

    Raises
    ------
    FeaturesUnavailable
        If the profile lacks what a champion's features need.
    ContactsUnknown
        If the rules ask who was contacted and nothing says so.
    CurrencyDiffers
        If its amounts are in another currency than a champion or a learner learned from.
    """
    at = at or profile.known_until
    if profile.backend.name == "pyspark":
        return _of_spark(profile, at, scorer, rules, language)
    learned_from = scorer.contracts | {name: kept.contract for name, kept in learners.items()}
    require_currency(currency_of(profile), learned_from)
    wanted, _ = cohort_features(profile, scorer)
    needed = {name: kept.contract.installed_features() for name, kept in learners.items()}
    both = {f.name: f for each in (wanted, *needed.values()) for f in each.features}
    features = build_features(profile, FeatureSet("plan", 1, tuple(both.values())), [at])
    scores = scorer.score(features, None, "none").scores
    rows = features.filter(scorer.knows(features))
    for name in rows.column_names:
        if name not in scores.column_names:
            scores = scores.append_column(name, rows[name])
    contacted = contacted_lately(profile, at, rules) if rules.quiet_days is not None else frozenset()
    learned = {
        name: Learned(kept, kept.model.score(feature_frame(rows, needed[name]))) for name, kept in learners.items()
    }
    champion = scorer.champions.get("clv")
    return Customers(
        profile.source,
        scores,
        at,
        contacted,
        profile.is_simulated,
        learned,
        lambda listed: scorer.score(listed.select(rows.column_names), ("churn",), "all", language).scores,
        champion.contract.currency if champion else None,
    )


def read_learners(config: PlanConfig, file: Path, default: Path) -> dict[str, KeptUplift]:
    """Read what campaigns have shown of a plan's actions.

    Parameters
    ----------
    config : PlanConfig
        The plan.
    file : Path
        Its file, from which on the actions name folders.
    default : Path
        The folder of actions that go by uplift and name none.

    Returns
    -------
    dict of str to KeptUplift
        By action, of those that go by uplift.

    Raises
    ------
    UpliftMissing
        If a folder is not there.
    ModelDamaged, UnknownParameter
        If what it holds is not what was written.
    """
    places = {
        action.name: default if action.uplift is True else file.parent / str(action.uplift)
        for action in config.actions
        if action.uplift
    }
    for name, place in places.items():
        if not place.is_dir():
            raise UpliftMissing(name, str(place))
    read = {place: load_uplift(place) for place in set(places.values())}
    return {name: read[place] for name, place in places.items()}


def _of_spark(profile: Profile, at: datetime, scorer: Scorer, rules: Rules, language: str) -> Customers:
    """Score customers where they are, as the batch job does, and bring the scores here, which a plan takes together."""
    from serving.spark import score_on_spark  # noqa: PLC0415 - an extra

    with tempfile.TemporaryDirectory(prefix="patron-plan-") as temporary:
        folder = Path(temporary) / "scores"
        score_on_spark(profile, at, folder, scorer, "top", language)
        return replace(customers_of_scores(folder / SCORES, rules, lambda: profile), source=profile.source)


def contacted_lately(profile: Profile, at: datetime, rules: Rules) -> frozenset[str]:
    """Customers whom a campaign or an event of the rules' kinds reached within the quiet days.

    Raises
    ------
    ContactsUnknown
        If the profile has neither campaigns nor events, or the rules name no days.
    """
    days = rules.quiet_days or 0
    if not (profile.has("campaigns") or profile.has("events")):
        raise ContactsUnknown(profile.source, days)
    snapshot = make_snapshot(profile.tables, [at], profile.backend.name)
    found: set[str] = set()
    for name in ("campaigns", "events"):
        if not profile.has(name):
            continue
        rows: Any = snapshot.relation(name)
        if name == "events":
            rows = rows.filter(rows.kind.isin(list(rules.contact_kinds)))
        elif "is_control" in rows.columns:
            rows = rows.filter(~rows.is_control.fill_null(False))
        lately = rows.filter(rows.prediction_time - rows.event_time <= days * DAY_US).select("customer_id").distinct()
        found |= set(profile.backend.to_pyarrow(lately)["customer_id"].to_pylist())
    return frozenset(found)
