"""A model measured apart in groups of the rows it is evaluated on."""

import pandas as pd

from training.evaluation.grade import skill
from training.rows.splits import Split
from training.task import Measured, TaskJob

LEAST_ROWS, LEAST_RARE = 100, 20
"""Rows, and rows of the rarer outcome, below which a slice's figures are marked as of low evidence."""


def measure_slices(job: TaskJob, split: Split, measured: Measured, rival: Measured) -> pd.DataFrame:
    """Measure model and baseline in every slice.

    Parameters
    ----------
    job : TaskJob
        Says what the slices are.
    split : Split
        The rows evaluated on.
    measured, rival : Measured
        Model and baseline on all of them.

    Returns
    -------
    pandas.DataFrame
        A row a slice: `slice`, `level`, `rows`, the primary loss of model and baseline, the skill with its interval,
        the task's own figures with theirs, and `low_evidence`.
    """
    rows = []
    for name, labels in job.slices(split).items():
        for level in sorted(labels.unique()):
            here = (labels == level).to_numpy()
            part, people = split.where(here), None if measured.people is None else measured.people[here]
            found = skill(measured.losses[here], rival.losses[here], job.perfect_loss, people)
            rare = job.evidence(part)
            rows.append(
                {
                    "slice": name,
                    "level": str(level),
                    "rows": int(here.sum()),
                    job.primary: float(measured.losses[here].mean()),
                    f"baseline_{job.primary}": float(rival.losses[here].mean()),
                    "skill": found.value,
                    "skill_low": found.low,
                    "skill_high": found.high,
                    "low_evidence": bool(here.sum() < LEAST_ROWS or rare < LEAST_RARE),
                    **job.figures(part, measured.scores[here].reset_index(drop=True)),
                }
            )
    return pd.DataFrame(rows)
