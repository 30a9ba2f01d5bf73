"""Every feature there is, and the sets that models are fitted on."""

from types import ModuleType
from typing import Any

from features import (
    baskets,
    btyd,
    contacts,
    engagement,
    lifecycle,
    margins,
    orders,
    portrait,
    returns,
    rhythm,
    subscriptions,
    support,
    surveys,
)
from features.errors import FeatureDeclarationError, UnknownName
from features.spec import Feature, FeatureSet

MODULES: tuple[ModuleType, ...] = (
    btyd, rhythm, orders, baskets, margins, returns, lifecycle, engagement, contacts, support, surveys, subscriptions,
    portrait,
)  # fmt: skip


def collect(modules: tuple[ModuleType, ...]) -> dict[str, Feature]:
    """Gather the features declared in some modules, in the order of their declaration.

    Raises
    ------
    FeatureDeclarationError
        If two features have one name.
    """
    found: dict[str, Feature] = {}
    for module in modules:
        for value in vars(module).values():
            for feature in _features(value):
                if found.setdefault(feature.name, feature) is not feature:
                    raise FeatureDeclarationError(
                        feature.name, "declared twice", "each name once", f"Rename the one in {module.__name__}."
                    )
    return found


def _features(value: Any) -> tuple[Feature, ...]:
    if isinstance(value, Feature):
        return (value,)
    if isinstance(value, tuple):
        return tuple(item for item in value if isinstance(item, Feature))
    return ()


CATALOGUE = collect(MODULES)


def _set(name: str, version: int, *names: str) -> FeatureSet:
    return FeatureSet(name, version, tuple(CATALOGUE[name] for name in names))


BTYD = ("frequency", "recency_days", "T_days", "monetary_value")

ALL = FeatureSet("all", 1, tuple(CATALOGUE.values()))
BEHAVIOUR = (
    "frequency",
    "recency_days",
    "T_days",
    "monetary_value",
    "days_since_last_order",
    "order_gap_mean_days",
    "order_gap_std_days",
    "days_since_last_order_to_gap",
    "order_count_30d",
    "order_count_90d",
    "order_count_365d",
    "order_value_30d",
    "order_value_90d",
    "order_value_365d",
    "order_value_mean",
    "order_value_maximum",
    "first_day_value",
    "order_count_trend_90d",
    "order_value_trend_90d",
    "discount_share_365d",
    "order_channel_count_365d",
    "last_order_channel",
    "order_category_count_365d",
    "return_count_365d",
    "return_rate_365d",
    "event_count_30d",
    "event_count_90d",
    "days_since_last_event",
    "visit_count_30d",
    "cart_abandon_count_90d",
    "support_contact_count_90d",
    "complaint_count_365d",
    "email_open_rate_90d",
    "nps_last_score",
    "csat_last_score",
    "ces_last_score",
    "is_nps_silent",
    "is_csat_silent",
    "is_ces_silent",
    "survey_asked_count_365d",
    "survey_response_rate_365d",
    "days_since_last_answer",
    "has_active_subscription",
    "subscription_tenure_days",
    "subscription_monthly_value",
    "tenure_days",
    "acquisition_channel",
)
PORTRAIT = ("region", "age_band", "income_band", "company_size", "industry", "tier")
"""Stated attributes that are learned from; gender is not one of them: it is to be fair by."""
CHURN = _set("churn", 3, *BEHAVIOUR, *PORTRAIT)
CLV = _set("clv", 1, *BTYD)
CLV_HYBRID = _set(
    "clv_hybrid",
    2,
    *BEHAVIOUR,
    "order_count_7d",
    "order_count_180d",
    "order_value_7d",
    "order_value_180d",
    "order_day_count_30d",
    "order_day_count_90d",
    "order_day_count_180d",
    "order_day_count_365d",
    "order_value_minimum",
    "last_day_value",
    "largest_day_share",
    "order_count_trend_30d",
    "order_count_trend_180d",
    "order_value_trend_30d",
    "order_value_trend_180d",
    "has_order_same_time_last_year",
    "order_gap_maximum_days",
    "last_order_gap_days",
    "last_order_gap_to_mean",
    "days_since_first_order",
    "days_since_last_order_to_longest_gap",
    "order_value_mean_90d",
    "order_value_mean_365d",
    "discounted_order_share_365d",
    "order_item_count_mean_365d",
    "preferred_order_channel_365d",
    "preferred_order_category_365d",
    "largest_category_share_365d",
    "weekend_order_share_365d",
    "evening_order_share_365d",
    "lifecycle_state",
    "event_count_365d",
    "event_day_count_90d",
    "event_count_trend_90d",
    "visit_count_90d",
    "days_since_last_visit",
    "cart_add_count_90d",
    "loyalty_points_earned_365d",
    "loyalty_points_balance",
    "support_contact_count_365d",
    "days_since_last_support_contact",
    "nps_mean_score",
    "csat_mean_score",
    "ces_mean_score",
    "experience_mean",
    "days_since_unanswered_question",
    *PORTRAIT,
)
CLV_CONTRACTUAL = _set(
    "clv_contractual",
    2,
    "subscription_spell_days",
    "has_active_subscription",
    "subscription_monthly_value",
    "last_subscription_plan",
    "days_to_term",
)
PROPENSITY = _set("propensity", 3, *CHURN.names)
SEGMENTS = _set("segments", 1, "days_since_last_order", "frequency", "order_value_mean")

FEATURE_SETS = {
    feature_set.name: feature_set
    for feature_set in (ALL, CHURN, CLV, CLV_CONTRACTUAL, CLV_HYBRID, SEGMENTS, PROPENSITY)
}


def feature_set(name: str) -> FeatureSet:
    """Look a feature set up.

    Raises
    ------
    UnknownName
        If there is none of that name.
    """
    try:
        return FEATURE_SETS[name]
    except KeyError:
        raise UnknownName("feature set", name, FEATURE_SETS) from None
