"""The batch job: score every customer of a profile as of one instant, whole or not at all."""

import json
import math
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from features.catalogue import CATALOGUE
from features.engine.builder import available, build_features
from features.errors import EmptyCohort, FeaturesUnavailable, OutputUnwritable
from features.folders import require_replaceable, swap_folder
from features.instants import write_instant
from features.population import population_feature
from features.profile import Profile
from features.spec import FeatureSet
from models.clv import acquisition
from serving.currency import currency_of, require_currency
from serving.manifest import (
    EXCLUDED,
    MANIFEST,
    PROSPECTS,
    SCORES,
    WRITTEN,
    Costs,
    Manifest,
    Members,
    make_manifest,
    telling_of,
)
from serving.reasons import Which
from serving.scorer import Scored, Scorer
from serving.store import new_store
from serving.telling import in_sample, top_above

PART_ROWS = 50_000
"""Customers scored at a time."""


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
        Gets ``scores.parquet``, ``excluded.parquet``, ``manifest.json`` and, where prospects can be forecast,
        ``prospects.parquet``; an earlier run's is replaced as a whole, or left as it was.
    scorer : Scorer
        With the champions.
    store : Path, optional
        The online store to fill with the same customers.
    reasons, language
        As `Scorer.score` takes them; "top" is the top decile by value at risk, too, where churn and value are scored.
        Customers are scored in parts, so that memory does not grow with the reasons.

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
    UnknownName
        If the language is not one of them.
    """
    require_replaceable(folder, WRITTEN)
    telling = telling_of(scorer, reasons, language)
    currency = require_currency(currency_of(profile), scorer.contracts)
    wanted, population = cohort_features(profile, scorer)
    table = build_features(profile, wanted, [at])
    eligible = scorer.knows(table).to_pylist()
    if not any(eligible):
        why = " or ".join(sorted(set(scorer.reasons_left_out(table, scorer.champions).to_pylist())))
        why = why or scorer.reason(scorer.champions)
        raise EmptyCohort(
            write_instant(at),
            f"{table.num_rows:,} customers known, all with {why}",
            "Choose a later --at, or check the times and values of orders and the times of subscriptions.",
        )
    above = _top_above(table, scorer) if reasons == "top" else math.inf
    telling |= {"value_at_risk_above": above if math.isfinite(above) else None}
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as temporary:
            made = Path(temporary) / "new"
            names = table[population].to_pylist() if population else [""] * table.num_rows
            members = Counter(zip(names, eligible, strict=True))
            parts = (scorer.score(part, None, reasons, language, above) for part in _parts(table))
            manifest = _write(made, profile, at, scorer, members, parts, table, telling)
            filled = new_store(store, table, scorer.features, currency) if store else nullcontext()
            with filled as use_new_store:
                swap_folder(made, folder, Path(temporary) / "old", WRITTEN)
                if use_new_store:
                    use_new_store()
    except OSError as error:
        raise OutputUnwritable(str(folder), error.strerror or str(error)) from error
    return manifest


def cohort_features(profile: Profile, scorer: Scorer) -> tuple[FeatureSet, str]:
    """The champions' features and the one that tells populations apart, with the name of that one, if there is one.

    Where customers are valued and acquisition costs are known, also what `models.clv.acquisition` takes.

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
    if champion is not None:
        known = (CATALOGUE[name] for name in acquisition.KNOWN)
        spent = FeatureSet("acquisition", 1, (*known, champion.bought))
        found = available(profile, spent)
        wanted |= dict.fromkeys(() if set(found.absent) - {acquisition.CHANNEL} else found.features.features)
    return FeatureSet("cohort", 1, tuple(wanted)), population.name if population else ""


def _top_above(table: pa.Table, scorer: Scorer) -> float:
    """Above which value at risk the top decile of the customers lies."""
    sample = pa.array(in_sample(table["customer_id"].to_pylist(), table.num_rows))
    return top_above(scorer.stakes(table.filter(sample)))


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
    table: pa.Table,
    telling: Mapping[str, Any],
) -> Manifest:
    folder.mkdir()
    excluded_by_reason: Counter[str] = Counter()
    with ExitStack() as files:
        writers: dict[str, pq.ParquetWriter] = {}
        for part in parts:
            for name, rows in ((SCORES, part.scores), (EXCLUDED, part.excluded), (PROSPECTS, part.prospects)):
                if name == PROSPECTS and not rows.num_rows:
                    continue
                if name not in writers:
                    writer = pq.ParquetWriter(folder / name, rows.schema, compression="zstd")
                    writers[name] = files.enter_context(writer)
                if rows.num_rows:
                    writers[name].write_table(rows)
            excluded_by_reason.update(part.excluded.column("reason").to_pylist())
    manifest = make_manifest(
        profile, at, scorer, members, excluded_by_reason, folder, _costs(scorer, table, folder / SCORES), telling
    )
    (folder / MANIFEST).write_text(json.dumps(manifest.document(), indent=1) + "\n")
    return manifest


def _costs(scorer: Scorer, table: pa.Table, scores: Path) -> Costs:
    """Sums of the scored customers whose acquisition cost is known; none where no cost or no value is."""
    champion, written = scorer.champions.get("clv"), ds.dataset(scores, format="parquet")
    if champion is None:
        return {}
    bought = champion.bought.name
    names = [name for name in ("customer_id", *acquisition.KNOWN, bought) if name in table.column_names]
    if not {acquisition.SPENT, bought, "clv"} <= {*names, *written.schema.names}:
        return {}
    known = table.select(names).to_pandas()
    values = written.to_table(columns=["customer_id", *acquisition.SCORED]).to_pandas()
    return acquisition.acquisition_sums(values.merge(known, on="customer_id", validate="one_to_one"), bought)
