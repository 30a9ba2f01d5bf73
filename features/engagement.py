"""What a customer does besides ordering: visits, carts, messages, loyalty."""

from typing import Any

from features.spec import Facts, Window, feature, windowed
from features.trend import trend

VISITS = ("page_view", "session", "app_open", "store_visit")
SITE = ("page_view", "session")
REDEMPTIONS = ("loyalty_redeem", "coupon_redeem")


@windowed(7, 30, 90, 180, 365, source="events", dtype="int64", unit="events", minimum=0)
def event_count(events: Facts, window: Window) -> Any:
    """Events of every kind."""
    return events.count(where=events.within(window))


@windowed(30, 90, source="event_days", dtype="int64", unit="days", minimum=0)
def event_day_count(days: Facts, window: Window) -> Any:
    """Days with an event."""
    return days.count(where=days.within(window))


@windowed(30, 90, source="events", dtype="float64", unit="ratio", nullable=True, minimum=-1, maximum=1, version=2)
def event_count_trend(events: Facts, window: Window) -> Any:
    """Events against the span before, (now - before) / (now + before); null without events or too young for both."""
    return trend(events, window, lambda span: events.count(where=span).cast("float64"))


@feature(source="events", dtype="float64", unit="days", nullable=True, minimum=0)
def days_since_last_event(events: Facts) -> Any:
    """Days from the last event of any kind to the prediction time; null without an event."""
    return events.days_to_prediction(events.event_time.max())


@windowed(7, 30, 90, source="events", dtype="int64", unit="events", minimum=0)
def visit_count(events: Facts, window: Window) -> Any:
    """Visits to site, app or store."""
    return events.count(where=events.within(window) & events.kind.isin(VISITS))


@feature(source="events", dtype="float64", unit="days", nullable=True, minimum=0)
def days_since_last_visit(events: Facts) -> Any:
    """Days from the last visit to site, app or store to the prediction time; null without one."""
    return events.days_to_prediction(events.event_time.max(where=events.kind.isin(VISITS)))


@windowed(90, source="events", dtype="int64", unit="events", minimum=0)
def site_visit_count(events: Facts, window: Window) -> Any:
    """Page views and sessions on the site."""
    return events.count(where=events.within(window) & events.kind.isin(SITE))


@windowed(90, source="events", dtype="int64", unit="events", minimum=0)
def app_open_count(events: Facts, window: Window) -> Any:
    """Openings of the app."""
    return events.count(where=events.within(window) & (events.kind == "app_open"))


@windowed(90, source="events", dtype="int64", unit="events", minimum=0)
def store_visit_count(events: Facts, window: Window) -> Any:
    """Visits to a store."""
    return events.count(where=events.within(window) & (events.kind == "store_visit"))


@windowed(365, source="events", dtype="int64", unit="events", minimum=0)
def social_mention_count(events: Facts, window: Window) -> Any:
    """Mentions on social media."""
    return events.count(where=events.within(window) & (events.kind == "social_mention"))


@windowed(90, source="events", dtype="int64", unit="events", minimum=0)
def cart_add_count(events: Facts, window: Window) -> Any:
    """Things put into a cart."""
    return events.count(where=events.within(window) & (events.kind == "cart_add"))


@windowed(90, source="events", dtype="int64", unit="events", minimum=0)
def cart_abandon_count(events: Facts, window: Window) -> Any:
    """Carts left behind."""
    return events.count(where=events.within(window) & (events.kind == "cart_abandon"))


@windowed(90, source="events", dtype="float64", unit="ratio", nullable=True, minimum=0)
def cart_abandonment_rate(events: Facts, window: Window) -> Any:
    """Carts left behind over things put into one; null when nothing was."""
    left = events.count(where=events.within(window) & (events.kind == "cart_abandon")).cast("float64")
    return left / events.count(where=events.within(window) & (events.kind == "cart_add")).nullif(0)


@windowed(90, source="events", dtype="int64", unit="channels", minimum=0)
def event_channel_count(events: Facts, window: Window) -> Any:
    """Different channels of events."""
    return events.channel.nunique(where=events.within(window))


@feature(source="events", dtype="string", unit="name", nullable=True)
def last_event_channel(events: Facts) -> Any:
    """Channel of the last event; null when unknown."""
    return events.last_text(events.channel, events.event_time)


@windowed(90, source="events", dtype="int64", unit="touchpoints", minimum=0)
def touchpoint_count(events: Facts, window: Window) -> Any:
    """Different touchpoints used."""
    return events.touchpoint.nunique(where=events.within(window))


@windowed(365, source="events", dtype="float64", unit="points", minimum=0)
def loyalty_points_earned(events: Facts, window: Window) -> Any:
    """Loyalty points earned (`value` of events loyalty_earn)."""
    return events.total(events.exact(events.value), where=events.within(window) & (events.kind == "loyalty_earn"))


@windowed(365, source="events", dtype="float64", unit="points", minimum=0)
def loyalty_points_redeemed(events: Facts, window: Window) -> Any:
    """Loyalty points redeemed (`value` of events loyalty_redeem)."""
    return events.total(events.exact(events.value), where=events.within(window) & (events.kind == "loyalty_redeem"))


@feature(source="events", dtype="float64", unit="points")
def loyalty_points_balance(events: Facts) -> Any:
    """Points earned less points redeemed over the whole history: a proxy of the balance."""
    points, redeemed = events.exact(events.value), events.kind == "loyalty_redeem"
    return events.total(redeemed.ifelse(-points, points), where=redeemed | (events.kind == "loyalty_earn"))


@feature(
    source=(loyalty_points_redeemed[0], loyalty_points_earned[0]),
    dtype="float64",
    unit="ratio",
    nullable=True,
    minimum=0,
)
def loyalty_burn_rate_365d(redeemed: Any, earned: Any) -> Any:
    """Points redeemed over points earned, in the 365 days before the prediction time; null when none was earned."""
    return redeemed / earned.nullif(0)


@windowed(365, source="events", dtype="int64", unit="events", minimum=0)
def redemption_count(events: Facts, window: Window) -> Any:
    """Points or coupons redeemed."""
    return events.count(where=events.within(window) & events.kind.isin(REDEMPTIONS))
