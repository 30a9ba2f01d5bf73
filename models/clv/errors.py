"""What keeps a lifetime value model from being fitted."""

from collections.abc import Iterable, Sequence

from features.errors import PatronError, listed


class NoRepeatOrders(PatronError):
    """Nobody ever came back, so nothing says how often customers do."""

    def __init__(self, customers: int) -> None:
        super().__init__(
            f"no repeat buyer among {customers:,} customers: how often customers come back cannot be estimated. "
            "Allowed: customers with orders on at least two days. Give a longer history, or another cutoff."
        )


class InvalidHistory(PatronError):
    """A customer's order history contradicts itself."""

    def __init__(self, rule: str, rows: int, example: str) -> None:
        super().__init__(
            f"{rule} does not hold in {rows} row(s), e.g. {example}. Allowed: 0 <= recency_days <= T_days, "
            "frequency >= 0, monetary_value >= 0. Build the columns with the feature set 'clv'."
        )


class InvalidSurvivors(PatronError):
    """The numbers of a cohort of subscribers cannot be those of one."""

    def __init__(self, survivors: Sequence[float]) -> None:
        super().__init__(
            f"survivors are {list(survivors)[:5]!r}. Allowed: two numbers or more, the first above 0, none below 0 or "
            "above the one before it. Count the subscribers of one cohort at the start and after each renewal."
        )


class NoRenewals(PatronError):
    """No subscription has come to a renewal, so nothing says how long subscribers stay."""

    def __init__(self, subscribers: int) -> None:
        super().__init__(
            f"none of {subscribers:,} subscribers has come to a renewal: how long they stay cannot be estimated. "
            "Allowed: subscriptions that have run for longer than one period. Choose a later --cutoff, or set "
            "a shorter model.period_days."
        )


class NotInLifetimes(PatronError):
    """Something has no counterpart between Patron and the library `lifetimes`."""

    def __init__(self, found: str, allowed: Iterable[str]) -> None:
        super().__init__(
            f"{found} has no counterpart. Allowed: {listed(allowed)}, fitted. Where the data bear only a simpler "
            "model, use its own predictions."
        )
