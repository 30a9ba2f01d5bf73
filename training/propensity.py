"""Training for propensity: whether a customer will do what a person asks about."""

from datetime import datetime
from typing import ClassVar

from features.instants import write_instant
from models.families import Task
from training.churn import ChurnJob
from training.config import TrainConfig
from training.outcomes import Outcome, event_outcome
from training.splits import Split


class PropensityJob(ChurnJob):
    """Propensity to an event: an order of a category, points redeemed, a survey answered, a former customer's return."""

    task: ClassVar[Task] = "propensity"
    outcome: ClassVar[str] = "event"

    def asked(self, config: TrainConfig) -> Outcome:
        """The event."""
        return event_outcome(config)

    def who(self, past: Split, cutoff: datetime) -> list[str]:
        """Say how many are not asked about."""
        left_out = sum(past.left_out.values())
        return [f"{left_out:,} rows before {write_instant(cutoff)} are not of those asked about"] if left_out else []
