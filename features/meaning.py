"""What features mean to a reader: those that tell the same story are one, so that they count as one reason."""

import re
from dataclasses import dataclass

from features.attributes import OWN
from features.spec import Feature
from features.surveys import METRICS

OWN_PREFIX = "own."
"""What stands before the name of a company's own column: each is a meaning of its own."""


@dataclass(frozen=True)
class Meaning:
    """Features that tell the same story.

    Parameters
    ----------
    name : str
        What they are called together.
    stems : tuple of str
        The features, without their windows: ``order_count`` stands for ``order_count_90d`` and the others.
    can_influence : bool
        Whether the company decides on it or answers for it (what it sends, asks, charges, delivers, and how it serves),
        rather than the customer.
    """

    name: str
    stems: tuple[str, ...]
    can_influence: bool = False


def _meaning(name: str, stems: str, *, can_influence: bool = False) -> Meaning:
    return Meaning(name, tuple(stems.split()), can_influence)


def _each(*names: str) -> str:
    """Names with every survey metric in the place of ``*``."""
    return " ".join(name.replace("*", metric) for name in names for metric in METRICS)


MEANINGS: dict[str, Meaning] = {
    meaning.name: meaning
    for meaning in (
        _meaning(
            "last_order",
            "days_since_last_order recency_days order_gap_mean_days order_gap_std_days order_gap_maximum_days "
            "last_order_gap_days last_order_gap_to_mean days_since_last_order_to_gap is_late rhythm_days "
            "days_since_last_order_to_longest_gap lifecycle_state days_in_lifecycle_state",
        ),
        _meaning(
            "orders",
            "frequency order_count order_day_count order_count_trend order_count_slope has_order_same_time_last_year "
            "order_value order_value_trend order_value_slope order_margin_value net_order_value "
            "margined_order_value net_margin_value",
        ),
        _meaning(
            "order_size",
            "monetary_value order_value_mean order_value_maximum order_value_minimum first_day_value last_day_value "
            "last_day_value_to_mean largest_day_share",
        ),
        _meaning("discounts", "discount_share discounted_order_share", can_influence=True),
        _meaning(
            "basket",
            "order_item_count_mean order_category_count first_order_category preferred_order_category "
            "order_category_entropy largest_category_share",
        ),
        _meaning(
            "order_channel",
            "order_channel_count first_order_channel last_order_channel preferred_order_channel "
            "preferred_order_channel_share order_channel_entropy order_channel_switch_count",
        ),
        _meaning("order_time", "weekend_order_share evening_order_share top_weekday_order_share"),
        _meaning("returns", "return_count return_value return_rate days_since_last_return", can_influence=True),
        _meaning(
            "activity",
            "event_count event_day_count event_count_trend days_since_last_event visit_count days_since_last_visit "
            "site_visit_count app_open_count store_visit_count social_mention_count event_channel_count "
            "last_event_channel touchpoint_count",
        ),
        _meaning("carts", "cart_add_count cart_abandon_count cart_abandonment_rate"),
        _meaning(
            "loyalty",
            "loyalty_points_earned loyalty_points_redeemed loyalty_points_balance loyalty_burn_rate redemption_count",
        ),
        _meaning(
            "messages",
            "email_sent_count email_open_rate email_click_rate days_since_last_response",
            can_influence=True,
        ),
        _meaning(
            "campaigns",
            "campaign_contact_count days_since_last_campaign redemption_to_contact",
            can_influence=True,
        ),
        _meaning(
            "service",
            "support_contact_count complaint_count support_ticket_count call_count days_since_last_support_contact "
            "unresolved_ticket_count repeated_support_contact_count",
            can_influence=True,
        ),
        _meaning(
            "survey_answers",
            f"{_each('*_last_score', '*_mean_score', '*_minimum_score', '*_trend', '*_spread', '*_category')} "
            "experience_mean experience_disagreement worst_survey_touchpoint",
            can_influence=True,
        ),
        _meaning(
            "survey_silence",
            f"{_each('is_*_silent', 'days_since_*_answer', '*_asked_count', '*_answered_count', '*_response_rate')} "
            "survey_asked_count survey_response_rate days_since_last_answer days_since_unanswered_question "
            "survey_answer_delay_mean_days order_to_survey_days last_survey_programme",
            can_influence=True,
        ),
        _meaning(
            "subscription",
            "has_active_subscription active_subscription_count subscription_tenure_days subscription_spell_days "
            "last_subscription_plan "
            "days_since_last_subscription_end days_to_term subscription_renewal_count subscription_pause_count",
        ),
        _meaning(
            "price",
            "subscription_monthly_value subscription_price_change price_increase_count",
            can_influence=True,
        ),
        _meaning("tenure", "tenure_days T_days days_since_first_order"),
        _meaning("acquisition", "acquisition_channel acquisition_cost"),
        _meaning("portrait", "region age_band gender income_band company_size industry tier"),
        _meaning("target", "target_count days_since_last_target"),
    )
}
_OF_STEM = {stem: meaning.name for meaning in MEANINGS.values() for stem in meaning.stems}


def stem_of(name: str) -> str:
    """A feature's name without its window.

    Examples
    --------
    >>> stem_of("order_count_90d")
    'order_count'
    """
    return re.sub(r"_\d+d$", "", name)


def window_of(name: str) -> int | None:
    """Days of the window in a feature's name.

    Examples
    --------
    >>> window_of("order_count_90d")
    90
    """
    found = re.search(r"_(\d+)d$", name)
    return int(found[1]) if found else None


def meaning_of(feature: Feature) -> str:
    """The name of what a feature means; one that stands in no group is a meaning of its own.

    Examples
    --------
    >>> from features.catalogue import CATALOGUE
    >>> meaning_of(CATALOGUE["order_gap_mean_days"])
    'last_order'
    """
    if feature.unit == OWN:
        return OWN_PREFIX + feature.name
    return _OF_STEM.get(stem_of(feature.name), feature.name)


def can_influence(meaning: str) -> bool:
    """Whether what features mean is up to the company."""
    return meaning in MEANINGS and MEANINGS[meaning].can_influence
