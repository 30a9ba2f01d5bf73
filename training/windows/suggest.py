"""What `patron suggest-window` proposes: by orders, by subscriptions, or by both where there are both."""

from dataclasses import dataclass
from typing import Any

from features.profile import Profile
from training.errors import NoRhythm, NoTerms
from training.windows.orders import Suggestion, suggest_window
from training.windows.subscriptions import SubscriptionWindow, suggest_subscription_window


@dataclass(frozen=True)
class Suggested:
    """Definitions of churn; one at least.

    Parameters
    ----------
    by_orders : Suggestion or None
        Non-contractual.
    by_subscriptions : SubscriptionWindow or None
        Contractual.
    """

    by_orders: Suggestion | None
    by_subscriptions: SubscriptionWindow | None

    def document(self, source: str) -> dict[str, Any]:
        """The first of them as plain data with its command, and that of subscriptions as `contractual`."""
        both = (self.by_orders, self.by_subscriptions)
        told = [one.document() | {"command": one.command(source)} for one in both if one]
        return told[0] | {"contractual": told[-1] if self.by_subscriptions else None}


def suggest(profile: Profile) -> Suggested:
    """Propose what churn shall mean, by whatever the profile has.

    Raises
    ------
    MissingTable
        Without orders and subscriptions.
    NoRhythm, NoTerms
        If neither tells enough.
    """
    by_orders, by_subscriptions = None, None
    if profile.has("subscriptions", "ended_at"):
        try:
            by_subscriptions = suggest_subscription_window(profile)
        except NoTerms:
            if not profile.has("orders"):
                raise
    if profile.has("orders") or by_subscriptions is None:
        try:
            by_orders = suggest_window(profile)
        except NoRhythm:
            if by_subscriptions is None:
                raise
    return Suggested(by_orders, by_subscriptions)
