"""All 36, from a gift wholesaler to a florist: logs whose authors had seen neither the models nor their results."""

from tests.benchmarks.businesses import (
    retail,
    retail_more,
    special,
    special_more,
    special_rest,
    street,
    street_more,
    street_rest,
)

BUSINESSES = (
    retail.BUSINESSES
    | retail_more.BUSINESSES
    | street.BUSINESSES
    | street_more.BUSINESSES
    | street_rest.BUSINESSES
    | special.BUSINESSES
    | special_more.BUSINESSES
    | special_rest.BUSINESSES
)
"""The maker of a log from a seed, its cutoff and its horizon in days, by name."""
