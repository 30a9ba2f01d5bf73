"""The report: one HTML file that a head of customer experience and a data scientist can both read."""

import base64
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from features import __version__
from features.instants import write_instant
from features.page import templates, write_whole
from features.profile import Profile
from models.contract import BAND_EDGES
from models.families import family
from training.errors import NothingToReport
from training.evaluation.grade import OF_CLASSIFIERS, RULE, rule_of
from training.promote import ChampionRun, evaluated_on
from training.reporting.headlines import HEADLINES, SUBSCRIPTION_HEADLINES, TITLES
from training.reporting.scores import summed_scores
from training.reporting.sections import backtest_section, number, proof_sections, with_interval

CAPTIONS = {
    "tracking": "Repeat orders of everyone who had come by the cutoff. The model has seen what lies before it and had "
    "to tell what lies after it. Newcomers after the cutoff are in neither line.",
    "expected_and_actual_orders": "Customers by how often they had ordered: expected orders should lie within the "
    "interval of the actual ones in every group.",
    "deciles_with_intervals": "Mean value ordered by each tenth of the customers, those of the highest expected value "
    "first. The intervals hold the chance in each customer and what totals were off by in the backtest. Where its "
    "windows are shorter than the horizon, these errors are widened as if the level of orders wandered at random: by "
    "the root of horizon over window. What single tenths are off by, more than the total, is not in the intervals.",
    "value_concentration": "How much of the value was in the end held by the customers that a ranking puts first: the "
    "model's, its baseline's, and the one that only hindsight knows.",
    "profit": "What contacting customers in the order of their probability would have earned on the holdout, on the "
    "terms under the axis. The interval holds what is not known of the terms.",
    "one_customer": "What a customer who orders often has ordered, and between what bounds the orders to come were "
    "forecast to lie.",
    "frequency_recency_matrix": "Mean forecasts of the customers of the holdout by how often and how lately they had "
    "ordered, whatever else the model knows of them and however long ago their first order was. Rows and columns are "
    "as wide as it takes to find customers in each; a cell is blank where there is nobody.",
}
"""What a reader should see in a plot, in the order in which they are shown."""


def write_report(profile: Profile, runs: list[ChampionRun], file: Path, scores: Path | None = None) -> Path:
    """Write the report.

    Parameters
    ----------
    profile : Profile
        What the models were fitted on.
    runs : list of ChampionRun
        The champions.
    file : Path
        The HTML file; made whole or not at all.
    scores : Path, optional
        Folder of a batch run.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    NothingToReport
        Without a champion.
    ScoresNotFound
        If the folder does not hold batch scores.
    OutputUnwritable
        If the file cannot be written.
    """
    if not runs:
        raise NothingToReport(profile.source)
    currency = next((run.contract.currency for run in runs if run.contract.currency), None)
    pages = templates(Path(__file__).with_name("templates"), number=number, amount=amount, lacking=_lacking)
    template = pages.get_template("report.html.j2")
    text = template.render(
        profile=profile,
        simulated=profile.is_simulated or any(run.contract.is_simulated for run in runs),
        tables=[asdict(summary) for summary in profile.summaries],
        findings=profile.findings,
        sections=[_section(run) for run in runs],
        scores=summed_scores(scores, profile, runs, currency) if scores is not None else None,
        contracts={run.task: run.contract for run in runs},
        rule=RULE,
        of_classifiers=OF_CLASSIFIERS,
        band_edges=BAND_EDGES,
        currency=currency,
        package_version=__version__,
    )
    return write_whole(file, text)


def _section(run: ChampionRun) -> dict[str, Any]:
    on = evaluated_on(run.metrics)
    of_subscriptions = family(run.contract.family).outcome == "subscriptions"
    rows = [
        {
            "words": words,
            "model": with_interval(run.metrics, f"{on}/{name}") or "none",
            "baseline": with_interval(run.metrics, f"baseline/{name}") or "none",
            "hint": hint,
        }
        for name, words, hint in (SUBSCRIPTION_HEADLINES if of_subscriptions else HEADLINES[run.task])
        if f"{on}/{name}" in run.metrics
    ]
    holdout = next(split for split in run.splits if split["split"] == on)
    return {
        "task": run.task,
        "title": TITLES[run.task],
        "rule": rule_of(run.grade, run.task),
        "run": run,
        "contract": run.contract,
        "holdout": holdout,
        "cutoff": holdout["prediction_times"][0] if on == "holdout" else "",
        "trained_until": write_instant(run.contract.cutoff) if run.contract.is_dated else "",
        "skill": {name: run.metrics[f"{on}/{name}"] for name in ("skill", "skill_low", "skill_high")},
        "rows": rows,
        "proofs": [*backtest_section(run.backtest), *proof_sections(run.metrics, on, run.fairness)],
        "plots": _plots(run.plots),
    }


def _plots(pictures: Mapping[str, bytes]) -> list[dict[str, str]]:
    """The pictures with what they say, those that say most first."""
    order = [*(name for name in CAPTIONS if name in pictures), *(name for name in pictures if name not in CAPTIONS)]
    return [
        {
            "name": name.replace("_", " "),
            "caption": CAPTIONS.get(name, ""),
            "kind": "wide" if _is_wide(pictures[name]) else "",
            "picture": base64.b64encode(pictures[name]).decode(),
        }
        for name in order
    ]


def _is_wide(png: bytes) -> bool:
    """Whether a picture is of two panels, by the size that its header gives."""
    width, height = (int.from_bytes(png[start : start + 4]) for start in (16, 20))
    return width > 2 * height


def amount(value: float) -> str:
    """Money, or a number of orders, with the digits a reader needs."""
    if math.isnan(value):
        return "none"
    return f"{value:,.0f}" if abs(value) >= 100 or value == 0 else f"{value:,.2f}"


def _lacking(absent: Mapping[str, str]) -> list[tuple[str, list[str]]]:
    """Features that cannot be given, by what the profile lacks for them; what most of them lack first."""
    found: dict[str, list[str]] = {}
    for name, why in absent.items():
        found.setdefault(why, []).append(name)
    return sorted(found.items(), key=lambda each: -len(each[1]))
