"""Which job trains what."""

from collections.abc import Mapping

from features.profile import Profile
from models.families import Family, Outcome, Task, families_of
from training.churn import ChurnJob
from training.clv import ClvJob
from training.config import TrainConfig
from training.contractual import ContractualJob
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


CONTRACTUAL = ContractualJob()


def job_of(task: Task, config: TrainConfig, outcome: Outcome = "orders") -> TaskJob:
    """How a task is trained under some settings.

    Raises
    ------
    ConfigInvalid
        If a label is given for a task that takes none.
    """
    if config.label and task != "churn":
        raise ConfigInvalid("label", config.label, "a label for the task churn only")
    if outcome == "subscriptions":
        return CONTRACTUAL
    return LabelJob() if config.label else JOBS[task]


def competitors(task: Task, profile: Profile) -> list[Family]:
    """The families that compete when none is named: those of orders, or where there are none those of subscriptions."""
    outcome: Outcome = "orders"
    if not profile.has("orders") and profile.has("subscriptions"):
        outcome = "subscriptions"
    return families_of(task, baseline=False, outcome=outcome) or families_of(task, baseline=False)
