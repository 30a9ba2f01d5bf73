"""Evaluation out of customer at the cutoff itself: what the recipe could do if it knew the label window of others.

Evaluated out of time, a model has learned from earlier label windows, of which a part may have been estimated, and
customers change meanwhile. Here customers of the holdout are dealt into folds, and each fold is predicted by models
that learned from the very label window of the other folds. Nobody has such labels when customers are scored, so that
promotion goes by what was measured out of time; how far the two lie apart says what time has changed.
"""

import numpy as np

from models.families import Family
from training.churn import ChurnJob
from training.config import TrainConfig
from training.evaluation.grade import skill
from training.rows.folds import folds_of, out_of_fold
from training.rows.splits import held_out
from training.rows.usable import LEAST_OUTCOMES
from training.task import Measured, Prepared

NAME = "out_of_customer"
MOST_CUSTOMERS = 25_000
"""So many are drawn of more: enough for narrow intervals, in less time than one fit to several prediction times."""
DRAWN = 2_000_003
"""Added to the seed, so that the draw does not go with the split that made the validation customers."""


def out_of_customer(
    job: ChurnJob, recipe: Family, config: TrainConfig, prepared: Prepared, measured: Measured
) -> dict[str, float]:
    """Cross-validate a recipe among the customers of the holdout.

    Parameters
    ----------
    job, recipe, config, prepared
        As the model was fitted; its settings are kept.
    measured : Measured
        The model, evaluated out of time on the holdout.

    Returns
    -------
    dict
        ``out_of_customer/<metric>`` with intervals as on the holdout, ``.../customers`` and ``.../folds``, and
        ``.../skill_over_out_of_time``: the share of the loss out of time, of the same customers, that is taken away.
        Empty with fewer than 20 customers of either outcome.
    """
    holdout = prepared.splits[job.evaluated_on]
    people = len(set(holdout.people))
    drawn = np.full(len(holdout.rows), True)
    if people > MOST_CUSTOMERS:
        drawn = held_out(holdout.people, MOST_CUSTOMERS / people, config.random_state + DRAWN)
    rows = holdout.where(drawn)
    if job.evidence(rows) < LEAST_OUTCOMES:
        return {}
    fold = folds_of(rows, config, job.outcome)
    scores = out_of_fold(job, rows, fold, prepared, lambda part: job.learn(recipe, config, part))
    found = job.measured(scores, rows)
    over = skill(found.losses, measured.losses[drawn], job.perfect_loss, found.people)
    ends = {"": over.value, "_low": over.low, "_high": over.high}
    return {
        **{f"{NAME}/{name}": value for name, value in found.metrics.items()},
        **{f"{NAME}/skill_over_out_of_time{end}": value for end, value in ends.items()},
        f"{NAME}/customers": float(len(set(rows.people))),
        f"{NAME}/folds": float(config.folds),
    }
