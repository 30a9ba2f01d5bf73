"""Training for propensity: whether a customer will do what a person asks about."""

from typing import ClassVar

from models.families import Task
from training.churn import ChurnJob
from training.config import TrainConfig
from training.outcomes import Outcome, event_outcome


class PropensityJob(ChurnJob):
    """Propensity to an event: an order of a category, points redeemed, a survey answered, a return."""

    task: ClassVar[Task] = "propensity"
    outcome: ClassVar[str] = "event"

    def asked(self, config: TrainConfig) -> Outcome:
        """The event."""
        return event_outcome(config)
