"""Whether the table that answers come from reaches as far as the profile: what it lacks is no sign of leaving."""

from datetime import UTC, datetime, timedelta

import numpy as np

from features.instants import DAY_US, days, to_us, write_instant
from features.profile import Profile
from features.snapshot import day_of, instants_as_whole
from training.config import TrainConfig
from training.errors import AnswersEndEarly

LEAST_SILENCE_DAYS, TIMES_LONGEST = 7, 2
"""A table has ended once it is silent for so long, and for longer than this many times its longest silence before."""
LEAST_FACT_DAYS = 30
"""Days with facts, below which a table has no rhythm that could be broken."""


def require_answers(profile: Profile, table: str, clock: str, config: TrainConfig, cutoff: datetime) -> None:
    """Refuse label windows that reach beyond the last fact of the table which the label is told from.

    Parameters
    ----------
    profile : Profile
        Reaches as far as the last fact of any table.
    table, clock : str
        Where the answers stand, and the column that says when.
    config : TrainConfig
        Label window, and whether everything known is learned from in the end.
    cutoff : datetime
        From which the window is counted that is evaluated on.

    Raises
    ------
    AnswersEndEarly
        If the table has ended and a label window, or the last fit, asks for what came after.
    """
    limit = to_us(profile.known_until)
    facts = instants_as_whole(profile.table(table, "labels"), profile.backend.name)
    found = facts.filter(facts[clock] < limit).select(day=day_of(facts[clock])).distinct().order_by("day")
    seen = profile.backend.to_pyarrow(found)["day"].to_numpy().astype(np.int64)
    if len(seen) < LEAST_FACT_DAYS:
        return
    longest, silent = int(np.diff(seen).max()) - 1, int(limit // DAY_US - seen[-1]) - 1
    if silent < LEAST_SILENCE_DAYS or silent <= TIMES_LONGEST * longest:
        return
    until = datetime.fromtimestamp(0, UTC) + timedelta(days=int(seen[-1]) + 1)
    window = days(config.gap_days + config.horizon_days)
    if config.refit or cutoff + window > until:
        raise AnswersEndEarly(table, write_instant(until), silent, longest, write_instant(until - window))
