"""Whether a classifier treats groups of customers alike: its figures by declared group, and where they differ.

Groups are columns of `customers` that the user declares (``--set fairness_groups=region,age_band``), as known at the
prediction time; the model need not know them. That groups leave at different rates is a fact about them; that a model
ranks one worse, misses more of it or is off in its level is one about the model, and is warned of.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.base import Array
from training.evaluation.intervals import mean_interval, rate_interval, with_intervals
from training.evaluation.slices import LEAST_RARE, LEAST_ROWS
from training.rows.groups import groups_in
from training.rows.splits import Split

HELD = {
    "roc_auc": "is ranked better or worse (AUC)",
    "false_negative_rate": "is missed more often or less (false negative rate)",
    "calibration_gap": "has probabilities that are further off (observed less predicted rate)",
}
"""Figures in which groups should be alike."""


def measure_fairness(
    split: Split, answers: Array, probability: Array, names: tuple[str, ...], threshold: float
) -> pd.DataFrame:
    """Measure each level of each declared group.

    Parameters
    ----------
    split : Split
        The rows evaluated on.
    answers, probability : ndarray of shape (n,)
        What came of them, and what was predicted.
    names : tuple of str
        The declared columns.
    threshold : float
        Probability from which a customer counts as picked out.

    Returns
    -------
    pandas.DataFrame
        A row a level: `group`, `level`, `rows`, `low_evidence`, `observed_rate`, `mean_probability`, `calibration_gap`,
        `roc_auc`, `false_negative_rate`, `expected_calibration_error`, each with ``_low`` and ``_high``.
    """
    rows = []
    for name, levels in groups_in(split.outcome, names).items():
        for level in sorted(levels.unique()):
            here = (levels == level).to_numpy()
            figures = _figures(answers[here], probability[here], split.people[here], threshold)
            rows.append({"group": name, "level": level, "rows": int(here.sum()), **figures})
    return pd.DataFrame(rows)


def _figures(answers: Array, probability: Array, people: npt.NDArray[Any], threshold: float) -> dict[str, float]:
    count, happened = float(len(answers)), float(answers.sum())
    who = np.unique(people, return_inverse=True)[1]
    means = {"observed_rate": answers, "mean_probability": probability, "calibration_gap": answers - probability}
    found: dict[str, float] = {"low_evidence": bool(count < LEAST_ROWS or min(happened, count - happened) < LEAST_RARE)}
    for name, values in means.items():
        interval = mean_interval(values, who)
        found |= {name: float(values.mean()), f"{name}_low": interval.low, f"{name}_high": interval.high}
    missed = float(answers[probability < threshold].sum())
    if happened > 0:
        low, high = rate_interval(np.array([missed]), np.array([happened]))
        rate = {"": missed / happened, "_low": float(low[0]), "_high": float(high[0])}
        found |= {f"false_negative_rate{end}": value for end, value in rate.items()}
    measured = with_intervals(answers, probability, people, random_state=0)
    wanted = ("roc_auc", "expected_calibration_error")
    return found | {name: value for name, value in measured.items() if name.startswith(wanted)}


def fairness_warnings(table: pd.DataFrame) -> list[str]:
    """Name the two levels of a group whose intervals lie apart, of each figure in which groups should be alike."""
    return list(_apart(table)) if len(table) else []


def _apart(table: pd.DataFrame) -> Iterator[str]:
    for name, levels in table[~table["low_evidence"].astype(bool)].groupby("group", sort=False):
        for figure, words in HELD.items():
            known = levels.dropna(subset=[figure]) if figure in levels else levels.head(0)
            if len(known) < 2:
                continue
            top = known.iloc[int(known[f"{figure}_low"].to_numpy().argmax())]
            bottom = known.iloc[int(known[f"{figure}_high"].to_numpy().argmin())]
            if top[f"{figure}_low"] > bottom[f"{figure}_high"]:
                yield f"fairness: by {name}, one group {words}: {_shown(top, figure)}, {_shown(bottom, figure)}"


def _shown(row: "pd.Series[float]", figure: str) -> str:
    return f"{row['level']} {row[figure]:.3f} ({row[f'{figure}_low']:.3f} to {row[f'{figure}_high']:.3f})"
