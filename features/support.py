"""How often a customer needs help, and whether it helps."""

from typing import Any

import ibis

from features.snapshot import SUPPORT_KINDS
from features.spec import Facts, Window, feature, windowed

REPEATED_WITHIN_DAYS = 7


@windowed(30, 90, 365, source="events", dtype="int64", unit="events", minimum=0)
def support_contact_count(events: Facts, window: Window) -> Any:
    """Tickets, complaints and calls to support."""
    return events.count(where=events.within(window) & events.kind.isin(SUPPORT_KINDS))


@windowed(90, 365, source="events", dtype="int64", unit="events", minimum=0)
def complaint_count(events: Facts, window: Window) -> Any:
    """Complaints."""
    return events.count(where=events.within(window) & (events.kind == "complaint"))


@windowed(90, source="events", dtype="int64", unit="events", minimum=0)
def support_ticket_count(events: Facts, window: Window) -> Any:
    """Support tickets opened."""
    return events.count(where=events.within(window) & (events.kind == "support_ticket"))


@windowed(90, source="events", dtype="int64", unit="events", minimum=0)
def call_count(events: Facts, window: Window) -> Any:
    """Calls to support."""
    return events.count(where=events.within(window) & (events.kind == "call"))


@feature(source="events", dtype="float64", unit="days", nullable=True, minimum=0)
def days_since_last_support_contact(events: Facts) -> Any:
    """Days from the last contact with support to the prediction time; null without one."""
    return events.days_to_prediction(events.event_time.max(where=events.kind.isin(SUPPORT_KINDS)))


@feature(source="events", dtype="int64", unit="events", minimum=0)
def unresolved_ticket_count(events: Facts) -> Any:
    """Support tickets opened less those resolved (events support_ticket and ticket_resolved), at least 0."""
    opened = events.count(where=events.kind == "support_ticket")
    return ibis.greatest(opened - events.count(where=events.kind == "ticket_resolved"), 0)


@windowed(365, source="support_days", dtype="int64", unit="contacts", minimum=0)
def repeated_support_contact_count(days: Facts, window: Window) -> Any:
    """Days of contact with support that came within 7 days of another."""
    return days.count(where=days.within(window) & (days.gap_days <= REPEATED_WITHIN_DAYS).fill_null(False))
