"""How long a customer has been one."""

from typing import Any

from features.spec import Facts, feature


@feature(source="customers", dtype="float64", unit="days", nullable=True, minimum=0)
def tenure_days(customers: Facts) -> Any:
    """Days since the relationship began (customers.created_at); null when unknown or still ahead."""
    began = customers.created_at.max(where=customers.created_at < customers.prediction_time)
    return customers.days_to_prediction(began)


@feature(source="customers", dtype="string", unit="name", nullable=True)
def acquisition_channel(customers: Facts) -> Any:
    """Channel that won the customer; null when unknown."""
    return customers.acquisition_channel.max()
