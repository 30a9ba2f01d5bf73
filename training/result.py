"""What fitting a family has come to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from models.families import Family, Task
from models.persistence import Kept
from training.config import TrainConfig
from training.evaluation.baselines import Compared
from training.evaluation.examine import Examined
from training.evaluation.grade import Skill
from training.evaluation.standings import Backtest
from training.jobs import job_of
from training.rows.leakage import Checked
from training.search import Searched
from training.task import Measured, Prepared


@dataclass(frozen=True)
class FitResult:
    """A family fitted, measured and ready to be tracked.

    Parameters
    ----------
    family : Family
        The recipe.
    evaluated : Kept
        Fitted to what was known before the cutoff: the model the metrics are of.
    final : Kept
        The model to serve: fitted once more to everything known, unless told not to.
    config : TrainConfig
        Resolved settings; its cutoff is set.
    metrics : dict of str to float
        ``<split>/<metric>``, ``baseline/<metric>``, ``champion/<metric>``, ``data/...``.
    slices : pandas.DataFrame
        Mean primary loss of model and baseline by slice.
    holdout : pandas.DataFrame
        For every holdout row the primary loss, score and outcome, without customer ids.
    splits : list of dict
        Periods and sizes.
    grade : str
        A to D.
    skill : Skill
        Against the baseline, on the holdout.
    warnings : tuple of str
        What a reader should know.
    absent : mapping of str to str
        Features of the set that the profile could not give, and why.
    prepared, measured, baseline
        Rows and figures, for plots.
    compared : Compared
        Against every named baseline, of which `baseline` is the best, and the simpler model beside it.
    validated : Measured or None
        On the rows that families compete on.
    examined : Examined
        What was looked at of the winner only: stability, factors, fairness.
    searched : Searched or None
        The search of settings, where there was one.
    source : str
        Where the profile was read from.
    tags : mapping of str to str
        Further facts for the tracker.
    leakage : Checked
        What was looked at for columns that give the outcome away, and found.
    backtest : Backtest or None
        How the families of lifetime value and the naive forecasts did from earlier origins.
    """

    family: Family
    evaluated: Kept
    final: Kept
    config: TrainConfig
    metrics: dict[str, float]
    slices: pd.DataFrame
    holdout: pd.DataFrame
    splits: list[dict[str, Any]]
    grade: str
    skill: Skill
    warnings: tuple[str, ...]
    absent: Mapping[str, str]
    prepared: Prepared = field(repr=False)
    measured: Measured = field(repr=False)
    baseline: Measured = field(repr=False)
    compared: Compared = field(repr=False)
    validated: Measured | None = field(default=None, repr=False)
    examined: Examined = field(default_factory=Examined, repr=False)
    searched: Searched | None = field(default=None, repr=False)
    source: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    leakage: Checked = field(default_factory=Checked, repr=False)
    backtest: Backtest | None = field(default=None, repr=False)

    @property
    def task(self) -> Task:
        """What it predicts."""
        return self.family.task

    @property
    def evaluated_on(self) -> str:
        """The split that the metrics are of: `holdout`, or `cv` where there are no dates."""
        return job_of(self.task, self.config, self.family.outcome).evaluated_on

    @property
    def params(self) -> dict[str, Any]:
        """Inputs under dotted names, and the fitted parameters under the literature's."""
        contract = self.evaluated.contract
        settings = {f"model.{name}": value for name, value in sorted(self.evaluated.model.get_params().items())}
        return {
            "data.cutoff": contract.cutoff.isoformat() if contract.is_dated else "",
            **self.config.flat(),
            "features.set": f"{contract.feature_set}/{contract.feature_set_version}",
            "features.fingerprint": contract.fingerprint,
            "features.own": ", ".join(contract.own_columns),
            **settings,
            **self.evaluated.model.fitted_parameters(),
        }
