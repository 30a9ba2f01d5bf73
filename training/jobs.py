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
        If a label, an event or a target is given for a task that takes none.
    """
    if config.label and task != "churn":
        raise ConfigInvalid("label", config.label, "a label for the task churn only")
    if config.event and task != "propensity":
        raise ConfigInvalid("event", config.event, "an event for the task propensity only")
    if config.target == "contractual" and task != "churn":
        remedy = "; what subscriptions are worth is forecast by --family clv_contractual" if task == "clv" else ""
        raise ConfigInvalid("target", config.target, f"a target for the task churn only{remedy}")
    if outcome == "subscriptions":
        return CONTRACTUAL
    return LabelJob() if config.label else JOBS[task]


def competitors(task: Task, profile: Profile) -> list[Family]:
    """The families that compete when none is named: those of orders, or where there are none those of subscriptions."""
    outcome: Outcome = "orders"
    if not profile.has("orders") and profile.has("subscriptions"):
        outcome = "subscriptions"
    return families_of(task, baseline=False, outcome=outcome) or families_of(task, baseline=False)
