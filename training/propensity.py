"""Training for propensity: whether a customer will do what a person asks about."""

from typing import Any, ClassVar

import ibis

from features.errors import listed
from features.occurrences import Occurrence, read_occurrence
from features.profile import Profile
from features.snapshot import instants_as_whole
from features.spec import Facts
from models.families import Task
from training.churn import ChurnJob
from training.config import TrainConfig
from training.errors import EventUnknown
from training.rows.outcomes import Outcome, event_outcome


class PropensityJob(ChurnJob):
    """Propensity to an event: an order of a category, points redeemed, a survey answered, a return."""

    task: ClassVar[Task] = "propensity"
    outcome: ClassVar[str] = "event"

    def asked(self, config: TrainConfig) -> Outcome:
        """The event."""
        return event_outcome(config)

    def require(self, config: TrainConfig, profile: Profile) -> int:
        """The table of the event, with its columns, in which it has happened."""
        grace = super().require(config, profile)
        require_happened(profile, read_occurrence(config.event))
        return grace


def require_happened(profile: Profile, occurrence: Occurrence) -> None:
    """Refuse an event that the profile knows nothing of.

    Raises
    ------
    EventUnknown
        If the table lacks a column of it, or no fact has ever met it.
    """
    table = profile.table(occurrence.table, "training propensity")
    names = (occurrence.clock, *occurrence.columns)
    if missing := [name for name in names if name not in table.columns]:
        found = f"{occurrence.table!r} of this profile has no column {listed(missing)}"
        raise EventUnknown(occurrence.text, found, f"columns that it has: {listed(table.columns, 30)}")
    facts = instants_as_whole(table, profile.backend.name)
    met = facts.filter(occurrence.met(Facts(facts, occurrence.table).column)).count()
    if profile.backend.to_pyarrow(met).as_py():
        return
    texts = [name for name in occurrence.columns if table[name].type().is_string()]
    held = [f"{name} holds {_commonest(profile, table, name)}" for name in texts]
    raise EventUnknown(
        occurrence.text,
        f"no row of {occurrence.table!r} has ever met it",
        f"an event that has happened{'; '.join(['', *held])}",
    )


def _commonest(profile: Profile, table: Any, name: str) -> str:
    """The values that a column has most often."""
    counted = table.group_by(name).aggregate(rows=table.count()).order_by([ibis.desc("rows"), name]).limit(12)
    return listed((str(value) for value in profile.backend.to_pyarrow(counted)[name].to_pylist()), 12)
