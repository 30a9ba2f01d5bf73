"""Times far from all the others, such as a 1970-01-01 for "unknown": they say nothing of how long a history is."""

from collections.abc import Mapping
from itertools import pairwise

from features.reading.conform import Conformed
from features.snapshot import MICROSECONDS, day_of

STRAY_SHARE, STRAY_DAYS = 0.001, 365
"""Times are astray: at most such a share, beyond a silence of more days than that and than all the others span."""


def rows_by_day(table: Conformed, engine: str) -> dict[int, int]:
    """Rows of a table of facts by number of the UTC day, in order; times that break the contract left out.

    Parameters
    ----------
    table : Conformed
        The table.
    engine : str
        Name of the engine that holds it.
    """
    dated, clock = table.staged.filter(table.happened()), str(table.contract.clock)
    at = dated.select(day=day_of(MICROSECONDS[engine](dated[clock])))
    counted = at.group_by("day").aggregate(rows=at.count()).order_by("day").to_pyarrow()
    return dict(zip(counted["day"].to_pylist(), counted["rows"].to_pylist(), strict=True))


def part_strays(daily: Mapping[int, int]) -> tuple[list[int], list[int]]:
    """Part days from the few that lie far before or after all the others.

    Parameters
    ----------
    daily : mapping of int to int
        Rows by number of the day.

    Returns
    -------
    most, few : list of int
        The days in order; `few` is empty where none is astray.

    Examples
    --------
    >>> part_strays({0: 1, 9_000: 2_000, 9_001: 2_000})
    ([9000, 9001], [0])
    """
    seen, total = sorted(daily), sum(daily.values())
    gaps = [(later - day, i + 1) for i, (day, later) in enumerate(pairwise(seen))]
    widest, i = max(gaps, default=(0, 0))
    few, most = sorted((seen[:i], seen[i:]), key=lambda group: sum(daily[day] for day in group))
    rows = sum(daily[day] for day in few)
    if not few or rows > STRAY_SHARE * total or widest <= max(STRAY_DAYS, most[-1] - most[0]):
        return seen, []
    return most, few
