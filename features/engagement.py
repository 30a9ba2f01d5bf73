"""What a customer does besides ordering: visits, carts, messages, contacts with support."""

from typing import Any

from features.spec import Facts, Window, feature, windowed

VISITS = ("page_view", "session", "app_open", "store_visit")
SUPPORT = ("support_ticket", "complaint", "call")


@windowed(30, 90, source="events", dtype="int64", unit="events", minimum=0)
def event_count(events: Facts, window: Window) -> Any:
    """Events of every kind."""
    return events.count(where=events.within(window))


@feature(source="events", dtype="float64", unit="days", nullable=True, minimum=0)
def days_since_last_event(events: Facts) -> Any:
    """Days from the last event of any kind to the prediction time; null without an event."""
    return events.days_to_prediction(events.event_time.max())


@windowed(30, source="events", dtype="int64", unit="events", minimum=0)
def visit_count(events: Facts, window: Window) -> Any:
    """Visits to site, app or store."""
    return events.count(where=events.within(window) & events.kind.isin(VISITS))


@windowed(90, source="events", dtype="int64", unit="events", minimum=0)
def cart_abandon_count(events: Facts, window: Window) -> Any:
    """Carts left behind."""
    return events.count(where=events.within(window) & (events.kind == "cart_abandon"))


@windowed(90, source="events", dtype="int64", unit="events", minimum=0)
def support_contact_count(events: Facts, window: Window) -> Any:
    """Tickets, complaints and calls to support."""
    return events.count(where=events.within(window) & events.kind.isin(SUPPORT))


@windowed(365, source="events", dtype="int64", unit="events", minimum=0)
def complaint_count(events: Facts, window: Window) -> Any:
    """Complaints."""
    return events.count(where=events.within(window) & (events.kind == "complaint"))


@windowed(90, source="events", dtype="float64", unit="share", nullable=True, minimum=0)
def email_open_rate(events: Facts, window: Window) -> Any:
    """Messages opened over messages sent; null when none was sent."""
    opened = events.count(where=events.within(window) & (events.kind == "email_open")).cast("float64")
    return opened / events.count(where=events.within(window) & (events.kind == "email_sent")).nullif(0)
