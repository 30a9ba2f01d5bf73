"""What a customer is subscribed to, and for how long."""

from typing import Any

from features.spec import Facts, feature


@feature(source="subscriptions", dtype="bool", unit="flag")
def has_active_subscription(subscriptions: Facts) -> Any:
    """A subscription is running at the prediction time."""
    return (subscriptions.count(where=subscriptions.ended_at.isnull()) > 0).fill_null(False)


@feature(source="subscriptions", dtype="float64", unit="days", nullable=True, minimum=0)
def subscription_tenure_days(subscriptions: Facts) -> Any:
    """Days since the first subscription began; null without one."""
    return subscriptions.days_to_prediction(subscriptions.started_at.min())


@feature(source="subscriptions", dtype="float64", unit="currency", minimum=0)
def subscription_monthly_value(subscriptions: Facts) -> Any:
    """Monthly price of the subscriptions running at the prediction time."""
    return subscriptions.total(subscriptions.monthly_value, where=subscriptions.ended_at.isnull())
