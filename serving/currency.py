"""In which currency amounts are: a model tells money in the currency it learned from, and in no other."""

from collections.abc import Mapping
from typing import Any

from features.contract import TABLES
from features.profile import Profile
from models.contract import Contract
from serving.errors import CurrencyDiffers


def currency_of(profile: Profile) -> str | None:
    """The one currency of a profile's amounts, where any of its tables says."""
    for name, contract in TABLES.items():
        if not profile.has(name, "currency") or not set(contract.money) & set(profile.tables[name].columns):
            continue
        rows = profile.tables[name]
        found: Any = profile.backend.to_pyarrow(rows.aggregate(code=rows.currency.max()))["code"][0].as_py()
        if found is not None:
            return str(found)
    return None


def require_currency(found: str | None, contracts: Mapping[str, Contract]) -> str | None:
    """Refuse amounts in another currency than a model learned from; either may be unknown.

    Parameters
    ----------
    found : str or None
        Of the amounts.
    contracts : mapping of str to Contract
        What models promise, by what they are called.

    Returns
    -------
    str or None
        The currency found.

    Raises
    ------
    CurrencyDiffers
        Naming the first model that learned from another.
    """
    for name, contract in contracts.items():
        if found is not None and contract.currency not in (None, found):
            raise CurrencyDiffers(name, str(contract.currency), found)
    return found
