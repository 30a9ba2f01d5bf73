"""Where a customer stands in the life with the company on a date, by the customer's own rhythm.

The rhythm is the mean gap between order days, kept between 14 and 180 days, and 90 days for whoever ordered on one
day only. Up to one and a half rhythms of silence a customer is active, then at risk, from three rhythms lapsed, from
six former.
"""

from typing import Any

import ibis

from features.btyd import frequency
from features.rhythm import days_since_first_order, days_since_last_order, last_order_gap_days, order_gap_mean_days
from features.spec import feature

SHORTEST_RHYTHM, LONGEST_RHYTHM, UNKNOWN_RHYTHM = 14.0, 180.0, 90.0
AT_RISK, LAPSED, FORMER = 1.5, 3.0, 6.0
REACTIVATED_AFTER_DAYS = 180


@feature(source=(order_gap_mean_days,), dtype="float64", unit="days", minimum=SHORTEST_RHYTHM, maximum=LONGEST_RHYTHM)
def rhythm_days(gap: Any) -> Any:
    """Days between orders to expect of the customer: the mean gap, kept between 14 and 180; 90 while unknown."""
    return gap.clip(SHORTEST_RHYTHM, LONGEST_RHYTHM).fill_null(UNKNOWN_RHYTHM)


@feature(
    source=(days_since_last_order, rhythm_days, frequency, last_order_gap_days),
    dtype="string",
    unit="name",
)
def lifecycle_state(since: Any, rhythm: Any, repeats: Any, last_gap: Any) -> Any:
    """Prospect, new, active, reactivated, at risk, lapsed or former, by the customer's own rhythm."""
    return ibis.cases(
        (since.isnull(), "prospect"),
        (since >= FORMER * rhythm, "former"),
        (since >= LAPSED * rhythm, "lapsed"),
        (since > AT_RISK * rhythm, "at risk"),
        (repeats == 0, "new"),
        (last_gap > REACTIVATED_AFTER_DAYS, "reactivated"),
        else_="active",
    )


@feature(
    source=(days_since_last_order, rhythm_days, days_since_first_order, lifecycle_state),
    dtype="float64",
    unit="days",
    nullable=True,
    minimum=0,
)
def days_in_lifecycle_state(since: Any, rhythm: Any, first: Any, state: Any) -> Any:
    """Days since the state began, for active customers since their last order; null for prospects."""
    return ibis.cases(
        (state == "former", since - FORMER * rhythm),
        (state == "lapsed", since - LAPSED * rhythm),
        (state == "at risk", since - AT_RISK * rhythm),
        (state == "new", first),
        else_=since,
    )
