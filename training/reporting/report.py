"""The report: one HTML file that a head of customer experience and a data scientist can both read."""

import base64
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from features import __version__
from features.instants import write_instant
from features.page import templates, write_whole
from features.profile import Profile
from models.clv.equity import Equity, customer_equity
from models.contract import BAND_EDGES
from models.decision.at_risk import total_at_risk
from models.families import family
from training.errors import NothingToReport, ScoresNotFound
from training.evaluation.grade import RULE
from training.evaluation.levels import LEVELS
from training.promote import ChampionRun, evaluated_on
from training.reporting.sections import backtest_section, number, proof_sections, with_interval

_OF_PROBABILITIES = (
    ("roc_auc", "AUC: how well customers are ranked", "0.5 is chance, 1 is flawless"),
    ("log_loss", "Log loss: the score the grade is made of", "lower is better"),
    ("brier", "Brier score", "lower is better"),
    (
        "expected_calibration_error",
        "Calibration error",
        f"0 is perfect; trusted up to {LEVELS['churn'].trusted[1]:g}",
    ),
)
_TOTAL_TRUSTED = f"trusted within {LEVELS['clv'].trusted[1]:g}"
HEADLINES: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    "churn": (
        *_OF_PROBABILITIES,
        ("lift_top_decile", "Churn rate of the top tenth over that of all", "higher is better"),
        ("empc", "Expected maximum profit a customer (value 200, offer 10, contact 1)", "higher is better"),
    ),
    "clv": (
        ("poisson_deviance_orders", "Deviance of orders: the score the grade is made of", "lower is better"),
        ("rmse_orders", "Root mean squared error, orders", "lower is better"),
        ("log_loss_no_order", "Log loss of 'no order at all'", "lower is better"),
        ("mae_value", "Mean absolute error, money", "lower is better"),
        ("gini_value", "Gini: how well customers are ranked by value", "1 is flawless"),
        ("bias_total_orders", "Total of orders, expected over actual - 1", _TOTAL_TRUSTED),
        ("coverage_50", "Share of customers inside their 50 % interval", "0.50 is right"),
        ("coverage_90", "Share of customers inside their 90 % interval", "0.90 is right"),
    ),
    "segments": (
        ("silhouette", "Silhouette one horizon later: the score the grade is made of", "higher is better"),
        (
            "stability_ari",
            "Same segments again from resampled customers",
            f"1 is the same; trusted from {LEVELS['segments'].trusted[0]:g}",
        ),
        ("separation_value", "Share of the variance of later spending between segments", "higher is better"),
        ("smallest_share", "Share of the smallest segment", "tiny segments are of no use"),
    ),
    "propensity": (
        *_OF_PROBABILITIES,
        ("lift_top_decile", "How often the top tenth does it, over how often all do", "higher is better"),
    ),
}
"""What is told of each task's champion: metric, words, and how to read it."""
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
SUBSCRIPTION_HEADLINES = (
    ("log_loss_renewals", "Log loss of the renewals paid: the score the grade is made of", "lower is better"),
    ("log_loss_survival", "Log loss of 'still subscribed at the end'", "lower is better"),
    ("survival_rate", "Share really still subscribed at the end", "what happened"),
    ("expected_survival_rate", "Share expected to be", "as close as can be to what happened"),
    ("rmse_orders", "Root mean squared error, paid periods", "lower is better"),
    ("mae_value", "Mean absolute error, money", "lower is better"),
    ("bias_total_orders", "Total of paid periods, expected over actual - 1", _TOTAL_TRUSTED),
    ("coverage_90", "Share of customers inside their 90 % interval", "0.90 is right"),
)
"""Of champions of lifetime value that forecast subscriptions."""
TITLES = {
    "churn": "Who will leave",
    "clv": "What customers are worth",
    "segments": "Who is alike",
    "propensity": "Who will do it",
}
BANDS = ("high", "medium", "low")
CUSTOMERS_SHOWN = 15


@dataclass(frozen=True)
class Scores:
    """The last batch run, summed up.

    Parameters
    ----------
    prediction_time : str
        As of when.
    customers : int
        Scored.
    totals : list of tuple
        Headline figures: words and number.
    bands : list of dict
        Customers and value by churn band and value band; no row for a churn band without customers.
    nobody : list of str
        Churn bands in which nobody is, since all of their rank count as having left already.
    segments : list of dict
        Size, value and churn of each segment.
    watch : list of dict
        Customers with the most value at risk among those who have not left already.
    equity : list of Equity
        What all customers and each segment are worth, with intervals.
    at_risk : list of Equity
        What of it is at risk.
    left_at_risk : float
        What of that lies with customers who have left already.
    acquisition : list of dict
        What customers cost against what they are worth, by channel, as the manifest has it.
    """

    prediction_time: str
    customers: int
    totals: list[tuple[str, str]]
    bands: list[dict[str, Any]]
    nobody: list[str]
    segments: list[dict[str, Any]]
    watch: list[dict[str, Any]]
    equity: list[Equity]
    at_risk: list[Equity]
    left_at_risk: float
    acquisition: list[dict[str, Any]]


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
    errors = next((run.contract.total_errors for run in runs if run.task == "clv"), ())
    pages = templates(Path(__file__).with_name("templates"), number=number, amount=amount, lacking=_lacking)
    template = pages.get_template("report.html.j2")
    text = template.render(
        profile=profile,
        simulated=profile.is_simulated or any(run.contract.is_simulated for run in runs),
        tables=[asdict(summary) for summary in profile.summaries],
        findings=profile.findings,
        sections=[_section(run) for run in runs],
        scores=_summed(scores, currency, errors) if scores is not None else None,
        contracts={run.task: run.contract for run in runs},
        rule=RULE,
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


def _summed(folder: Path, currency: str | None, errors: Sequence[float]) -> Scores:
    try:
        table = pq.read_table(folder / "scores.parquet").to_pandas()
    except (OSError, pa.ArrowException) as error:
        found = "damaged" if (folder / "scores.parquet").exists() else "missing"
        raise ScoresNotFound(str(folder), found) from error
    money = f" {currency}" if currency else ""
    equity = customer_equity([table], errors)
    gone = _gone(table)
    totals = [("customers scored", f"{len(table):,}")]
    if gone.any():
        totals.append(("of them count as having left already, by their own rhythm", f"{gone.sum():,}"))
    if "probability_churned" in table:
        leaving = table.loc[~gone, "probability_churned"].sum()
        totals.append(
            ("of the others are expected to leave" if gone.any() else "are expected to leave", f"{leaving:,.0f}")
        )
    if "clv" in table:
        totals.append(("expected value of all customers together", f"{table['clv'].sum():,.0f}{money}"))
    if equity:
        bounds = f"{equity[0].low_90:,.0f} to {equity[0].high_90:,.0f}{money}"
        totals.append(("90 % interval of that value, as wide as earlier forecasts were wrong", bounds))
    if "clv" in table:
        best = table["clv"].nlargest(max(len(table) // 5, 1)).sum() / max(table["clv"].sum(), 1e-9)
        totals.append(("of that value lies with the most valuable fifth of the customers", f"{best:.0%}"))
    if "is_high_value" in table:
        share = table["is_high_value"].astype("float64").mean()
        totals.append(("of the customers hold four fifths of the value", f"{share:.0%}"))
    return Scores(
        table["prediction_time"].iloc[0].date().isoformat(),
        len(table),
        totals,
        *_bands(table, gone),
        _segments(table),
        _watch(table[~gone]),
        equity,
        total_at_risk([table], errors),
        float(_at_risk(table)[gone].sum()),
        _acquisition(folder),
    )


def _gone(table: pd.DataFrame) -> "pd.Series[bool]":
    """Who has left already."""
    if "churn_band" not in table:
        return pd.Series(False, index=table.index)
    return table["churn_band"] == "churned"


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


def _acquisition(folder: Path) -> list[dict[str, Any]]:
    """The table of the run's manifest; none where it has none."""
    try:
        found: list[dict[str, Any]] = json.loads((folder / "manifest.json").read_text()).get("acquisition", [])
    except (OSError, ValueError):
        return []
    return found


def _bands(table: pd.DataFrame, gone: "pd.Series[bool]") -> tuple[list[dict[str, Any]], list[str]]:
    """Customers and value by churn band (rows) and value band (columns); and the churn bands that nobody is in."""
    if not {"churn_band", "clv_band"} <= set(table.columns):
        return [], []
    grouped = table.groupby(["churn_band", "clv_band"])["clv"]
    counts, values = grouped.size().to_dict(), grouped.sum().to_dict()
    present = set(table["churn_band"])
    rows = [
        {
            "churn": churn,
            "cells": [
                {"customers": counts.get((churn, clv), 0), "value": values.get((churn, clv), 0.0)} for clv in BANDS
            ],
        }
        for churn in (*BANDS, "churned")
        if churn in present
    ]
    return rows, [churn for churn in BANDS if churn not in present] if gone.any() else []


def _segments(table: pd.DataFrame) -> list[dict[str, Any]]:
    if "segment" not in table:
        return []
    grouped = table.groupby(["segment_id", "segment"])
    rows = grouped.size().rename("customers").reset_index().assign(share=lambda t: t["customers"] / len(table))
    for column, name in (("clv", "clv"), ("probability_churned", "churn"), ("expected_orders", "orders")):
        rows[name] = grouped[column].mean().to_numpy() if column in table else np.nan
    rows = rows.sort_values(["clv", "segment_id"], ascending=[False, True], kind="stable")
    return [{str(name): value for name, value in row.items()} for row in rows.to_dict("records")]


def _watch(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Valuable customers who may leave: the most value times churn probability."""
    if not {"clv", "probability_churned"} <= set(table.columns):
        return []
    at_risk = table.assign(at_risk=_at_risk(table)).dropna(subset=["at_risk"])
    worst = at_risk.nlargest(CUSTOMERS_SHOWN, "at_risk")
    return [
        {
            "customer_id": row["customer_id"],
            "clv": row["clv"],
            "churn": row["probability_churned"],
            "at_risk": row["at_risk"],
            "segment": row.get("segment", ""),
            "reasons": _texts(row["churn_reasons"]),
            "changes": _texts(row.get("churn_what_would_change")),
        }
        for row in worst.to_dict("records")
    ]


def _at_risk(table: pd.DataFrame) -> "pd.Series[float]":
    """Value at risk of each customer; of nobody where it is not known."""
    if not {"clv", "probability_churned"} <= set(table.columns):
        return pd.Series(np.nan, index=table.index)
    return table["clv"] * table["probability_churned"]


def _texts(told: Any) -> list[str]:
    """What was told of a customer; nothing where nothing was."""
    return [each["text"] for each in told] if told is not None else []
