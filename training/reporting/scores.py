"""The last batch run summed up for a reader: totals, bands, segments, whom to watch."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from features.profile import Profile
from models.clv.equity import Equity, customer_equity
from models.decision.at_risk import total_at_risk
from training.errors import ScoresNotFound
from training.promote import ChampionRun

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
    doubts : list of str
        Where these scores are of other facts or other champions than the rest of the report.
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
    doubts: list[str]
    totals: list[tuple[str, str]]
    bands: list[dict[str, Any]]
    nobody: list[str]
    segments: list[dict[str, Any]]
    watch: list[dict[str, Any]]
    equity: list[Equity]
    at_risk: list[Equity]
    left_at_risk: float
    acquisition: list[dict[str, Any]]


def summed_scores(folder: Path, profile: Profile, runs: Sequence[ChampionRun], currency: str | None) -> Scores:
    """Read the last batch run and sum it up.

    Parameters
    ----------
    folder : Path
        As the batch run wrote it.
    profile, runs
        What the report is on: the profile and the champions.
    currency : str or None
        Of the champions' amounts.

    Raises
    ------
    ScoresNotFound
        If the folder does not hold batch scores.
    """
    try:
        table = pq.read_table(folder / "scores.parquet").to_pandas()
    except (OSError, pa.ArrowException) as error:
        found = "damaged" if (folder / "scores.parquet").exists() else "missing"
        raise ScoresNotFound(str(folder), found) from error
    manifest = _manifest(folder)
    errors = next((run.contract.total_errors for run in runs if run.task == "clv"), ())
    gone, equity = _gone(table), customer_equity([table], errors)
    return Scores(
        table["prediction_time"].iloc[0].date().isoformat(),
        len(table),
        _doubts(manifest, profile, runs),
        _totals(table, gone, equity, f" {currency}" if currency else ""),
        *_bands(table, gone),
        _segments(table),
        _watch(table[~gone]),
        equity,
        total_at_risk([table], errors),
        float(_at_risk(table)[gone].sum()),
        manifest.get("acquisition", []),
    )


def _manifest(folder: Path) -> dict[str, Any]:
    """What the run said of itself; nothing where it cannot be read."""
    try:
        found: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    except (OSError, ValueError):
        return {}
    return found


def _doubts(manifest: Mapping[str, Any], profile: Profile, runs: Sequence[ChampionRun]) -> list[str]:
    """Where these scores are of other facts or other champions than the rest of the report."""
    told = []
    if manifest.get("profile_digest", profile.digest) != profile.digest:
        told.append(
            f"These scores were not made of the facts now in {profile.source}: they are of another profile or of its "
            "earlier facts, or another engine read them."
        )
    served: Mapping[str, Any] = manifest.get("models", {})
    for run in runs:
        version = served[run.task]["version"] if run.task in served else run.version
        if version != run.version:
            told.append(
                f"The scores of {run.task} are of version {version}; what is told of the champion below is of version "
                f"{run.version}."
            )
    return told


def _totals(
    table: pd.DataFrame, gone: "pd.Series[bool]", equity: Sequence[Equity], money: str
) -> list[tuple[str, str]]:
    """The figures that stand first, each with its words."""
    told = [("customers scored", f"{len(table):,}")]
    if gone.any():
        told.append(("of them count as having left already, by their own rhythm", f"{gone.sum():,}"))
    if "probability_churned" in table:
        leaving = table.loc[~gone, "probability_churned"].sum()
        told.append(
            ("of the others are expected to leave" if gone.any() else "are expected to leave", f"{leaving:,.0f}")
        )
    if "clv" in table:
        told.append(("expected value of all customers together", f"{table['clv'].sum():,.0f}{money}"))
    if equity:
        bounds = f"{equity[0].low_90:,.0f} to {equity[0].high_90:,.0f}{money}"
        told.append(("90 % interval of that value, as wide as earlier forecasts were wrong", bounds))
    if "clv" in table:
        best = table["clv"].nlargest(max(len(table) // 5, 1)).sum() / max(table["clv"].sum(), 1e-9)
        told.append(("of that value lies with the most valuable fifth of the customers", f"{best:.0%}"))
    if "is_high_value" in table:
        share = table["is_high_value"].astype("float64").mean()
        told.append(("of the customers hold four fifths of the value", f"{share:.0%}"))
    return told


def _gone(table: pd.DataFrame) -> "pd.Series[bool]":
    """Who has left already."""
    if "churn_band" not in table:
        return pd.Series(False, index=table.index)
    return table["churn_band"] == "churned"


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
