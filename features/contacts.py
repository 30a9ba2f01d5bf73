"""What the company sends a customer, and what comes back."""

from typing import Any

from features.engagement import redemption_count
from features.spec import Facts, Window, feature, windowed


@windowed(90, source="events", dtype="int64", unit="contacts", minimum=0)
def email_sent_count(events: Facts, window: Window) -> Any:
    """Messages sent."""
    return events.count(where=events.within(window) & (events.kind == "email_sent"))


@windowed(90, source="events", dtype="float64", unit="ratio", nullable=True, minimum=0)
def email_open_rate(events: Facts, window: Window) -> Any:
    """Openings over messages sent, which can be more than 1; null when none was sent."""
    opened = events.count(where=events.within(window) & (events.kind == "email_open")).cast("float64")
    return opened / events.count(where=events.within(window) & (events.kind == "email_sent")).nullif(0)


@windowed(90, source="events", dtype="float64", unit="ratio", nullable=True, minimum=0)
def email_click_rate(events: Facts, window: Window) -> Any:
    """Clicks over messages sent, which can be more than 1; null when none was sent."""
    clicked = events.count(where=events.within(window) & (events.kind == "email_click")).cast("float64")
    return clicked / events.count(where=events.within(window) & (events.kind == "email_sent")).nullif(0)


@feature(source="events", dtype="float64", unit="days", nullable=True, minimum=0)
def days_since_last_response(events: Facts) -> Any:
    """Days from the last opened or clicked message to the prediction time; null without one."""
    return events.days_to_prediction(events.event_time.max(where=events.kind.isin(("email_open", "email_click"))))


@windowed(90, 365, source="campaigns", dtype="int64", unit="contacts", minimum=0)
def campaign_contact_count(campaigns: Facts, window: Window) -> Any:
    """Campaign contacts received; contacts held back for control do not count."""
    return campaigns.count(where=campaigns.within(window) & ~campaigns.is_control.fill_null(False))


@feature(source="campaigns", dtype="float64", unit="days", nullable=True, minimum=0)
def days_since_last_campaign(campaigns: Facts) -> Any:
    """Days from the last campaign contact to the prediction time; null without one."""
    received = ~campaigns.is_control.fill_null(False)
    return campaigns.days_to_prediction(campaigns.event_time.max(where=received))


@feature(
    source=(redemption_count[0], campaign_contact_count[1]), dtype="float64", unit="ratio", nullable=True, minimum=0
)
def redemption_to_contact_365d(redeemed: Any, contacts: Any) -> Any:
    """Redemptions over campaign contacts, in the 365 days before the prediction time; null without a contact."""
    return redeemed.cast("float64") / contacts.nullif(0)
