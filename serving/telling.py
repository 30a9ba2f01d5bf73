"""Whose reasons are told: everybody's, nobody's, or those of the customers on top, by percentile or value at risk."""

import math
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.base import Array
from models.families import RANKED, Task
from serving.reasons import TOP_PERCENTILE, Which

SAMPLE = 10_000
"""About how many customers say where the top decile by value at risk begins; fewer are all asked."""


@dataclass(frozen=True)
class Telling:
    """Whose reasons are told, and how.

    Parameters
    ----------
    which : {"all", "top", "none"}
        "top": of who is in the top decile of a task that ranks, or has more value at risk; not of the churned.
    language : {"en", "ru", "pl"}
        Of the words.
    at_risk_above : float
        Value at risk above which reasons of churn are told as well: a fact of the whole batch, given from outside so
        that each row still depends on itself only.
    """

    which: Which = "all"
    language: str = "en"
    at_risk_above: float = math.inf

    def told(
        self, task: Task, columns: Mapping[str, pa.Array], count: int, value: Array | None = None
    ) -> NDArray[np.bool_]:
        """Which rows of a task are told; a task that does not rank customers has no top decile.

        Parameters
        ----------
        task : {"churn", "clv", "segments", "propensity"}
            Which.
        columns : mapping of str to pyarrow.Array
            Its scores.
        count : int
            Rows.
        value : ndarray of shape (count,), optional
            Lifetime value of the same customers, NaN where unknown.
        """
        if self.which != "top" or task not in RANKED:
            return np.full(count, self.which != "none")
        top = columns[f"{task}_percentile"].to_numpy() >= TOP_PERCENTILE
        if task == "churn":
            if value is not None:
                top |= columns["probability_churned"].to_numpy() * value > self.at_risk_above
            top &= ~columns["is_already_churned"].to_numpy(zero_copy_only=False)
        return np.asarray(top)


def in_sample(ids: Iterable[str], cohort: int) -> NDArray[np.bool_]:
    """Which customers belong to the sample of a cohort, by their ids alone: every engine draws the same."""
    one_in = max(math.ceil(cohort / SAMPLE), 1)
    return np.array([zlib.crc32(each.encode()) % one_in == 0 for each in ids], dtype=np.bool_)


def top_above(at_risk: Array) -> float:
    """Value at risk above which lies the top decile of a sample; above infinity where there is no sample."""
    return float(np.quantile(at_risk, TOP_PERCENTILE / 100, method="inverted_cdf")) if len(at_risk) else math.inf
