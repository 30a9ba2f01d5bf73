"""How contenders stand after a backtest: the table, who won by how much, and what totals were off by."""

import math
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.instants import write_instant
from models.base import Array
from training.evaluation.grade import Skill, skill

COST = ("seconds", "megabytes")
PRIMARY = "poisson_deviance_orders"
MOST_WRONG = 100.0
"""Totals further off than this factor were of nothing, and say nothing of the level."""


@dataclass(frozen=True)
class Backtest:
    """How well each contender forecast from each origin.

    Parameters
    ----------
    table : pandas.DataFrame
        One row a contender and origin: `name`, `is_naive`, `origin`, `horizon_days`, `customers`, the metrics of
        `training.evaluation.metrics.clv_metrics`, coverages where there are intervals (NaN elsewhere), `seconds` and
        `megabytes` of fitting and scoring.
    losses : dict of str to ndarray
        Poisson deviance of each row, over all origins, by contender.
    customers : ndarray
        A number for the customer of each loss: the same customer may be there once an origin.
    calibration : pandas.DataFrame
        Mean expected and actual order days of each contender by repeat order days before the origin.
    splits : list of dict
        Periods and sizes, origin by origin.
    """

    table: pd.DataFrame
    losses: dict[str, Array]
    customers: npt.NDArray[np.intp] = field(repr=False)
    calibration: pd.DataFrame = field(repr=False)
    splits: list[dict[str, Any]] = field(repr=False)

    @property
    def origins(self) -> list[datetime]:
        """From when the forecasts were made, latest first."""
        return list(dict.fromkeys(self.table["origin"]))

    @property
    def window_days(self) -> int:
        """How far they reached."""
        return int(self.table["horizon_days"].iloc[0])

    @property
    def ranking(self) -> pd.DataFrame:
        """Mean metrics of each contender over the origins, least Poisson deviance first."""
        numbers = self.table.drop(columns=["origin", "is_naive"]).groupby("name").mean()
        return numbers.sort_values(PRIMARY)

    def compare(self, name: str, rival: str) -> Skill:
        """Share of a rival's deviance that a contender takes away; the interval counts a customer once."""
        own, other = (np.asarray(np.bincount(self.customers, self.losses[each]), np.float64) for each in (name, rival))
        return skill(own, other)

    def champion(self) -> tuple[str, str, Skill]:
        """The family of least Poisson deviance, its closest rival of any kind, and the skill of one over the other."""
        families = set(self.losses) - self._naive or set(self.losses)
        best = min(families, key=self._place)
        rival = min(set(self.losses) - {best}, key=self._place)
        return best, rival, self.compare(best, rival)

    def best_naive(self, name: str) -> tuple[str, Skill]:
        """The naive forecast of least Poisson deviance, and the skill of a contender over it."""
        naive = min(self._naive - {name}, key=self._place)
        return naive, self.compare(name, naive)

    @property
    def _naive(self) -> set[str]:
        return set(self.table.loc[self.table["is_naive"], "name"])

    def _place(self, name: str) -> tuple[float, str]:
        return float(self.losses[name].mean()), name

    def total_errors(self, name: str, horizon_days: int) -> tuple[float, ...]:
        """What a contender's total of value would be off by over a horizon, from each origin; see `log_error`.

        Windows of the backtest may be shorter than the horizon. Of a level that wanders as a random walk, the mean over
        a time has a variance that grows with that time.
        """
        biases = self.table.loc[self.table["name"] == name, "bias_total_value"]
        longer = math.sqrt(max(horizon_days / self.window_days, 1.0))
        return tuple(error * longer for bias in biases for error in log_error(bias))

    def metrics(self, name: str) -> dict[str, float]:
        """A contender's means over the origins, and its skill over the best naive forecast, as a run logs them."""
        means = self.ranking.loc[[name]].drop(columns=["horizon_days", "customers", *COST]).dropna(axis=1)
        found = self.best_naive(name)[1]
        return {
            **{f"backtest/{metric}": float(value) for metric, (value,) in means.items()},
            "backtest/skill_over_naive": found.value,
            "backtest/skill_over_naive_low": found.low,
            "backtest/skill_over_naive_high": found.high,
            "backtest/origins": float(len(self.origins)),
            "backtest/window_days": float(self.window_days),
        }

    def sentences(self) -> list[str]:
        """Who won, by how much, and whether the best naive forecast is beaten."""
        best, rival, over_rival = self.champion()
        naive, over_naive = self.best_naive(best)
        origins = f"{len(self.origins)} origin" + "s" * (len(self.origins) > 1)
        lines = [
            f"backtest from {origins} over {self.window_days} days each: {best} has the least "
            f"Poisson deviance; of that of {rival} it takes away {over_rival.words()}"
        ]
        if over_naive.low > 0:
            lines.append(f"the best naive forecast was {naive}; {best} beats it and takes away {over_naive.words()}")
        else:
            lines.append(f"the best naive forecast was {naive}; {best} does not clearly beat it: {over_naive.words()}")
        return lines

    def document(self) -> dict[str, Any]:
        """All of it as plain data, None where there is no number."""
        best, rival, over_rival = self.champion()
        naive, over_naive = self.best_naive(best)
        kinds = self.table.drop_duplicates("name").set_index("name")["is_naive"]
        means = self.ranking.reset_index()
        means.insert(1, "is_naive", kinds.loc[means["name"]].to_numpy())
        by_origin = self.table.assign(origin=[write_instant(origin) for origin in self.table["origin"]])
        return {
            "origins": [write_instant(origin) for origin in self.origins],
            "window_days": self.window_days,
            "champion": best,
            "rival": rival,
            "skill_over_rival": _plain(over_rival),
            "best_naive": naive,
            "skill_over_best_naive": _plain(over_naive),
            "beats_best_naive": over_naive.low > 0,
            "table": records(means),
            "by_origin": records(by_origin),
            "calibration": records(self.calibration),
            "splits": self.splits,
        }


def log_error(bias: float) -> tuple[float, ...]:
    """Logarithm of actual over expected total, from a bias (expected over actual, less 1); none if it says nothing."""
    ratio = 1 + bias
    return (-math.log(ratio),) if 1 / MOST_WRONG < ratio < MOST_WRONG else ()


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as plain data, None where there is no number."""
    return [
        {str(name): None if value != value else value for name, value in row.items()}  # noqa: PLR0124 - NaN is not itself
        for row in frame.to_dict("records")
    ]


def _plain(found: Skill) -> dict[str, float]:
    return {"value": found.value, "low": found.low, "high": found.high}
