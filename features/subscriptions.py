"""What a customer is subscribed to, for how long and at what price."""

from collections.abc import Mapping
from typing import Any

import ibis

from features.instants import DAY_US
from features.spec import Facts, Feature, feature, windowed

MONTH_DAYS = 30.4375
SETTLED_DAYS = 3.0
"""Days after which a renewal counts as made: calendar months are of 28 to 31 days."""


@feature(source="subscriptions", dtype="bool", unit="flag")
def has_active_subscription(subscriptions: Facts) -> Any:
    """A subscription is running at the prediction time."""
    return (subscriptions.count(where=subscriptions.ended_at.isnull()) > 0).fill_null(False)


@feature(source="subscriptions", dtype="int64", unit="subscriptions", minimum=0)
def active_subscription_count(subscriptions: Facts) -> Any:
    """Subscriptions running at the prediction time."""
    return subscriptions.count(where=subscriptions.ended_at.isnull())


@feature(source="subscriptions", dtype="float64", unit="days", nullable=True, minimum=0)
def subscription_tenure_days(subscriptions: Facts) -> Any:
    """Days since the first subscription began; null without one."""
    return subscriptions.days_to_prediction(subscriptions.started_at.min())


@feature(source="subscriptions", dtype="float64", unit="days", nullable=True, minimum=0)
def days_since_last_subscription_end(subscriptions: Facts) -> Any:
    """Days since a subscription last ended; null when none has."""
    return subscriptions.days_to_prediction(subscriptions.ended_at.max())


@feature(source="subscriptions", dtype="float64", unit="currency", minimum=0)
def subscription_monthly_value(subscriptions: Facts) -> Any:
    """Monthly price of the subscriptions running at the prediction time."""
    return subscriptions.total(subscriptions.monthly_value, where=subscriptions.ended_at.isnull())


@feature(source="subscriptions", dtype="string", unit="name", nullable=True)
def last_subscription_plan(subscriptions: Facts) -> Any:
    """Plan of the subscription begun last; null without one."""
    return subscriptions.last_text(subscriptions.plan, subscriptions.started_at)


@feature(source="subscriptions", dtype="float64", unit="days", nullable=True)
def days_to_term(subscriptions: Facts) -> Any:
    """Days until the first term agreed on ends, negative once it has; null without a running term."""
    return -subscriptions.days_to_prediction(subscriptions.term_ends_at.min(where=subscriptions.ended_at.isnull()))


@feature(source="subscription_terms", dtype="int64", unit="subscriptions", minimum=0)
def subscription_renewal_count(terms: Facts) -> Any:
    """Terms that continued a subscription under the same id."""
    return terms.count(where=terms.term > 0)


@feature(source="subscription_terms", dtype="int64", unit="subscriptions", minimum=0)
def subscription_pause_count(terms: Facts) -> Any:
    """Terms that began more than a day after the one before under the same id had ended."""
    return terms.count(where=(terms.started_at - terms.previous_ended_at > DAY_US).fill_null(False))


@feature(source="subscription_terms", dtype="float64", unit="currency")
def subscription_price_change(terms: Facts) -> Any:
    """Sum of the changes of monthly price from term to term under the same id."""
    return terms.total(terms.monthly_value - terms.previous_monthly_value)


@windowed(365, source="subscription_terms", dtype="int64", unit="subscriptions", minimum=0)
def price_increase_count(terms: Facts, window: Any) -> Any:
    """Terms that began at a higher monthly price than the one before under the same id."""
    dearer = (terms.monthly_value > terms.previous_monthly_value).fill_null(False)
    return terms.count(where=terms.within(window) & dearer)


@feature(source="subscription_spells", dtype="float64", unit="days", nullable=True, minimum=0)
def subscription_spell_days(spells: Facts) -> Any:
    """Days that the present or last time of being subscribed lasted, with pauses up to 30 days; null without one."""
    return (spells.until.max() - spells.started_at.max(where=spells.begins_spell)).cast("float64") / DAY_US


def paid_value(period_days: float, of_plan: Mapping[str, float] | None = None) -> Feature:
    """What subscriptions have paid, at their price a month, when every period is paid at its begin.

    Parameters
    ----------
    period_days : float
        From one renewal to the next.
    of_plan : mapping of str to float, optional
        Of plans that differ from it.
    """
    differing = dict(sorted((of_plan or {}).items()))

    def months(subscriptions: Facts, period: float, where: Any) -> Any:
        until = subscriptions.ended_at.fill_null(subscriptions.prediction_time)
        days = (until - subscriptions.started_at).cast("float64") / DAY_US
        begun = ibis.greatest(((days - SETTLED_DAYS) / period).ceil().cast("int32"), 1)
        return (subscriptions.monthly_value * begun).sum(where=where).cast("float64") * (period / MONTH_DAYS)

    def build(subscriptions: Facts) -> Any:
        if not differing:
            return months(subscriptions, period_days, None)
        plan = subscriptions.plan.fill_null("")
        paid = months(subscriptions, period_days, ~plan.isin(list(differing))).fill_null(0.0)
        for name, period in differing.items():
            paid = paid + months(subscriptions, period, plan == name).fill_null(0.0)
        return ibis.ifelse(subscriptions.monthly_value.count() > 0, paid, ibis.null("float64"))

    said = "Price of all periods that subscriptions have begun; null without a known price."
    return Feature(
        "subscription_paid_value", "subscriptions", "float64", "currency", said, build, nullable=True, minimum=0,
        detail=f"{period_days!r} {differing!r}",
    )  # fmt: skip
