"""Which job trains what."""

from collections.abc import Mapping

from models.families import Task
from training.churn import ChurnJob
from training.clv import ClvJob
from training.config import TrainConfig
from training.errors import ConfigInvalid
from training.flat import LabelJob
from training.propensity import PropensityJob
from training.segments import SegmentsJob
from training.task import TaskJob

JOBS: Mapping[Task, TaskJob] = {
    "churn": ChurnJob(),
    "clv": ClvJob(),
    "segments": SegmentsJob(),
    "propensity": PropensityJob(),
}


def job_of(task: Task, config: TrainConfig) -> TaskJob:
    """How a task is trained under some settings.

    Raises
    ------
    ConfigInvalid
        If a label is given for a task that takes none.
    """
    if config.label and task != "churn":
        raise ConfigInvalid("label", config.label, "a label for the task churn only")
    return LabelJob() if config.label else JOBS[task]
