"""Who a customer is: stated attributes, where an unknown one is a level of its own."""

from typing import Any

from features.spec import Facts, Feature, feature

MISSING = "missing"
ATTRIBUTES = {
    "region": "Where the customer lives or is based",
    "age_band": "Age, as a band",
    "gender": "Gender, as stated",
    "income_band": "Income or turnover, as a band",
    "company_size": "Size of the company, as a band",
    "industry": "Industry of the company",
    "tier": "Tier of the loyalty programme or contract",
}


@feature(source="customers", dtype="float64", unit="days", nullable=True, minimum=0)
def tenure_days(customers: Facts) -> Any:
    """Days since the relationship began (customers.created_at); null when unknown or still ahead."""
    began = customers.created_at.max(where=customers.created_at < customers.prediction_time)
    return customers.days_to_prediction(began)


@feature(source="customers", dtype="string", unit="name", nullable=True)
def acquisition_channel(customers: Facts) -> Any:
    """Channel that won the customer; null when unknown."""
    return customers.acquisition_channel.max()


@feature(source="customers", dtype="float64", unit="currency", nullable=True, minimum=0)
def acquisition_cost(customers: Facts) -> Any:
    """What winning the customer cost; null when unknown."""
    return customers.acquisition_cost.max().cast("float64")


def _attribute(name: str, words: str) -> Feature:
    return Feature(
        name,
        "customers",
        "string",
        "name",
        f"{words}; '{MISSING}' when unknown.",
        lambda customers: getattr(customers, name).max().fill_null(MISSING),
    )


attributes = tuple(_attribute(name, words) for name, words in ATTRIBUTES.items())
