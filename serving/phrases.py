"""What can be said of each meaning and when it is true; how it is said, in each language, stands in `serving/words`."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from features.meaning import stem_of

FACTORS = {
    "probability_active": "still_active",
    "orders_if_active": "expected_orders",
    "expected_order_value": "expected_order_value",
    "margin_rate": "own_margin",
    "probability_renewed": "next_renewal",
    "periods_if_renewed": "paid_periods",
    "period_price": "period_price",
}
"""Meanings of what lifetime value is a product of."""


@dataclass(frozen=True)
class Phrase:
    """Something that may be true of a customer.

    Parameters
    ----------
    name : str
        Under which each language has its text.
    stems : tuple of str
        The features it speaks of, without their windows; all must be known.
    above, below : float
        Between which the first one's value must lie; neither bound is inside.
    is_missing : bool
        Whether the first one must be unknown instead.
    """

    name: str
    stems: tuple[str, ...]
    above: float = -math.inf
    below: float = math.inf
    is_missing: bool = False

    def applies(self, values: Sequence[Any]) -> bool:
        """Whether it is true of these values of its features."""
        if self.is_missing:
            return is_unknown(values[0])
        if any(map(is_unknown, values)):
            return False
        bounded = self.above > -math.inf or self.below < math.inf
        return not bounded or self.above < values[0] < self.below


def is_unknown(value: Any) -> bool:
    """Whether a value of a feature is missing."""
    return value is None or value != value  # noqa: PLR0124 - NaN


def _says(name: str, stems: str = "", above: float = -math.inf, below: float = math.inf) -> Phrase:
    return Phrase(name, tuple((stems or name).split()), above, below)


def _lacks(name: str, stem: str) -> Phrase:
    return Phrase(name, (stem,), is_missing=True)


def _none(name: str, stem: str) -> Phrase:
    return Phrase(name, (stem,), below=1)


PHRASES: Mapping[str, tuple[Phrase, ...]] = {
    "last_order": (
        _says("just", "days_since_last_order order_gap_mean_days", below=1),
        _says("just_now", "days_since_last_order", below=1),
        _says("late", "days_since_last_order order_gap_mean_days"),
        _says("since", "days_since_last_order"),
        _lacks("never", "days_since_last_order"),
        _says("active_for", "recency_days"),
    ),
    "orders": (
        _says("falling", "order_count_trend", below=0),
        _says("rising", "order_count_trend", above=0, below=1),
        _says("steady", "order_count_trend", above=-1e-9, below=1e-9),
        _none("none", "order_count"),
        _says("order_count"),
        _says("order_day_count"),
        _says("value_falling", "order_value_trend", below=0),
        _says("value_rising", "order_value_trend", above=0, below=1),
        _says("order_value", above=0),
        _says("no_value", "order_value", below=1e-9),
        _says("order_margin_value"),
        _none("once", "frequency"),
        _says("repeats", "frequency"),
        _says("same_time", "has_order_same_time_last_year", above=0.5),
        _says("not_same_time", "has_order_same_time_last_year", below=0.5),
        _lacks("never", "frequency"),
    ),
    "order_size": (
        _says("order_value_mean"),
        _says("monetary_value"),
        _says("order_value_maximum"),
        _says("order_value_minimum"),
        _says("first_day_value"),
        _says("last_day_value"),
        _says("largest_day_share"),
        _lacks("no_repeat", "monetary_value"),
    ),
    "discounts": (
        _says("discount_share"),
        _says("discounted_order_share"),
        _lacks("nothing_bought", "discount_share"),
        _lacks("no_order", "discounted_order_share"),
    ),
    "basket": (
        _says("order_category_count"),
        _says("order_item_count_mean"),
        _says("preferred_order_category"),
        _says("first_order_category"),
        _says("largest_category_share"),
    ),
    "order_channel": (
        _says("last_order_channel"),
        _says("preferred_order_channel"),
        _says("first_order_channel"),
        _none("none", "order_channel_count"),
        _says("order_channel_count"),
        _says("preferred_order_channel_share"),
    ),
    "order_time": (_says("weekend_order_share"), _says("evening_order_share"), _says("top_weekday_order_share")),
    "returns": (
        _none("none", "return_count"),
        _says("return_count"),
        _says("return_rate"),
        _says("return_value"),
        _says("days_since_last_return"),
        _lacks("nothing_bought", "return_rate"),
    ),
    "activity": (
        _says("event_count"),
        _says("visit_count"),
        _says("falling", "event_count_trend", below=0),
        _says("rising", "event_count_trend", above=0, below=1),
        _says("days_since_last_event"),
        _says("days_since_last_visit"),
        _says("event_day_count"),
        _says("site_visit_count"),
        _says("app_open_count"),
        _says("store_visit_count"),
        _says("social_mention_count"),
        _says("last_event_channel"),
        _lacks("never", "days_since_last_event"),
        _lacks("no_visit", "days_since_last_visit"),
    ),
    "carts": (_says("cart_abandon_count"), _says("cart_add_count"), _says("cart_abandonment_rate")),
    "loyalty": (
        _says("loyalty_points_balance"),
        _says("loyalty_points_earned"),
        _says("loyalty_points_redeemed"),
        _says("redemption_count"),
        _says("loyalty_burn_rate"),
    ),
    "messages": (
        _says("email_open_rate"),
        _says("email_click_rate"),
        _says("email_sent_count"),
        _says("days_since_last_response"),
        _lacks("none", "email_open_rate"),
        _lacks("no_response", "days_since_last_response"),
    ),
    "campaigns": (
        _says("campaign_contact_count"),
        _says("days_since_last_campaign"),
        _lacks("never", "days_since_last_campaign"),
    ),
    "service": (
        _says("unresolved", "unresolved_ticket_count", above=0),
        _says("complaint_count", above=0),
        _says("support_contact_count", above=0),
        _says("repeated", "repeated_support_contact_count", above=0),
        _says("support_ticket_count", above=0),
        _says("call_count", above=0),
        _none("no_complaint", "complaint_count"),
        _none("no_contact", "support_contact_count"),
        _says("days_since_last_support_contact"),
        _lacks("never", "days_since_last_support_contact"),
    ),
    "survey_answers": (
        *(_says(f"{metric}_last_score") for metric in ("nps", "csat", "ces")),
        *(_says(f"{metric}_mean_score") for metric in ("nps", "csat", "ces")),
        *(_says(f"{metric}_minimum_score") for metric in ("nps", "csat", "ces")),
        _says("experience_mean"),
        *(_lacks(f"{metric}_never", f"{metric}_last_score") for metric in ("nps", "csat", "ces")),
        _lacks("never", "experience_mean"),
    ),
    "survey_silence": (
        *(
            Phrase(f"{metric}_silent_for", (f"is_{metric}_silent", "days_since_unanswered_question"), above=0.5)
            for metric in ("nps", "csat", "ces")
        ),
        *(_says(f"{metric}_silent", f"is_{metric}_silent", above=0.5) for metric in ("nps", "csat", "ces")),
        _says("silent_for", "days_since_unanswered_question"),
        _none("not_asked", "survey_asked_count"),
        _says("survey_response_rate"),
        _says("survey_asked_count"),
        _says("days_since_last_answer"),
        _lacks("never", "days_since_last_answer"),
        *(_says(f"{metric}_not_silent", f"is_{metric}_silent", below=0.5) for metric in ("nps", "csat", "ces")),
    ),
    "subscription": (
        _says("ends", "days_to_term", above=0),
        _says("ended", "days_to_term", below=0),
        _says("none", "has_active_subscription", below=0.5),
        _says("since", "subscription_tenure_days"),
        _says("running", "has_active_subscription", above=0.5),
        _says("last_subscription_plan"),
        _says("days_since_last_subscription_end"),
        _says("subscription_renewal_count"),
        _says("subscription_pause_count"),
        _lacks("never", "subscription_tenure_days"),
    ),
    "price": (
        _says("price_increase_count", above=0),
        _says("raised", "subscription_price_change", above=0),
        _says("lowered", "subscription_price_change", below=0),
        _says("subscription_monthly_value", above=0),
        _says("nothing", "subscription_monthly_value", below=1e-9),
    ),
    "tenure": (
        _says("tenure_days"),
        _says("days_since_first_order"),
        _says("T_days"),
        _lacks("unknown", "tenure_days"),
    ),
    "acquisition": (
        _says("acquisition_channel"),
        _says("acquisition_cost"),
        _lacks("unknown", "acquisition_channel"),
    ),
    "portrait": (*map(_says, ("region", "age_band", "gender", "income_band", "company_size", "industry", "tier")),),
    "target": (
        _none("none", "target_count"),
        _says("target_count"),
        _says("days_since_last_target"),
        _lacks("never", "days_since_last_target"),
    ),
    "still_active": (_says("probability_active"),),
    "expected_orders": (_says("orders_if_active"),),
    "expected_order_value": (_says("expected_order_value"),),
    "own_margin": (_says("margin_rate"),),
    "next_renewal": (_says("probability_renewed"),),
    "paid_periods": (_says("periods_if_renewed"),),
    "period_price": (_says("period_price"),),
}


def choose(
    phrases: Sequence[Phrase], members: Sequence[str], values: Mapping[str, Any]
) -> tuple[Phrase, dict[str, str]] | None:
    """What to say of a meaning: what is true of its strongest feature, else what is true at all.

    Parameters
    ----------
    phrases : sequence of Phrase
        Of the meaning, the better ones first.
    members : sequence of str
        The features of the meaning, the strongest first.
    values : mapping of str to any
        Their values.

    Returns
    -------
    tuple of Phrase and dict of str to str, or None
        With the feature that stands for each stem, the strongest of several windows; None where nothing can be said.
    """
    found: dict[str, str] = {}
    for member in members:
        found.setdefault(stem_of(member), member)
    leading = stem_of(members[0])
    true = [
        phrase
        for phrase in phrases
        if all(stem in found for stem in phrase.stems)
        and phrase.applies([values[found[stem]] for stem in phrase.stems])
    ]
    if not true:
        return None
    chosen = next((phrase for phrase in true if leading in phrase.stems), true[0])
    return chosen, {stem: found[stem] for stem in chosen.stems}
