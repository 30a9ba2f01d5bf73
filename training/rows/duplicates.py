"""The same people under different ids: customers whose rows are equal in every column."""

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

LEAST_TELLING = 5
"""Things said of a customer that are not said of more than half of all, below which two may be equal by chance: all
that is known of who ordered once is the day, the value and that it was one order, in however many columns."""
SAMPLE = 10_000
People = npt.NDArray[np.object_]


def people_of(keys: pd.DataFrame, rows: pd.DataFrame) -> People:
    """Who each row is of, where customers who are equal at some prediction time are one person.

    Parameters
    ----------
    keys : pandas.DataFrame
        `customer_id` and `prediction_time`.
    rows : pandas.DataFrame
        Their features.

    Returns
    -------
    ndarray of shape (n,)
        The smallest id among the customers who are one person: the customer's own, for most.
    """
    ids, customer = np.unique(keys["customer_id"].to_numpy(dtype=object).astype(str), return_inverse=True)
    alike = _alike(keys, rows)
    count, kinds = len(ids), int(alike.max(initial=-1)) + 1
    links = coo_matrix((np.ones(len(alike)), (customer, count + alike)), shape=(count + kinds, count + kinds))
    person = connected_components(links, directed=False)[1][:count]
    smallest = np.full(int(person.max(initial=-1)) + 1, count)
    np.minimum.at(smallest, person, np.arange(count))
    return np.asarray(ids[smallest[person]][customer], dtype=object)


def _alike(keys: pd.DataFrame, rows: pd.DataFrame) -> npt.NDArray[np.int64]:
    """The number of each row's group of equal rows; rows that tell too little are groups of their own."""
    codes = pd.util.hash_pandas_object(rows.assign(__time=keys["prediction_time"].to_numpy()), index=False).to_numpy()
    repeated = np.flatnonzero(pd.Series(codes).duplicated(keep=False).to_numpy())
    group = np.arange(len(rows), dtype=np.int64)
    told = repeated[_telling(rows, repeated) >= LEAST_TELLING]
    group[told] = len(rows) + pd.factorize(codes[told])[0]
    return np.asarray(pd.factorize(group)[0], dtype=np.int64)


def _telling(rows: pd.DataFrame, of: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """How many names and different numbers some rows hold that more than half of all rows do not hold."""
    names, numbers = np.zeros(len(of), dtype=np.int64), []
    sample = rows.iloc[:: max(len(rows) // SAMPLE, 1)]
    for name in rows.columns if len(of) else ():
        here = rows[name].iloc[of]
        shares = sample[name].value_counts(normalize=True)
        usual = here == shares.index[0] if len(shares) and shares.iloc[0] > 0.5 else False
        told = here.notna().to_numpy() & ~np.asarray(usual, dtype=bool)
        if rows[name].dtype == object:
            names += told
        else:
            numbers.append(np.where(told, here.to_numpy(dtype=np.float64), np.nan))
    if not numbers:
        return names
    ordered = np.sort(np.column_stack(numbers), axis=1)  # missing ones come last
    different = np.diff(ordered, axis=1, prepend=-np.inf) > 0
    return np.asarray(names + different.sum(axis=1), dtype=np.int64)


def said_of_copies(keys: pd.DataFrame, people: People) -> list[str]:
    """How many customers are another one again, in words; nothing where none is."""
    copies = len(set(keys["customer_id"].astype(str))) - len(set(people))
    if not copies:
        return []
    return [
        f"{copies:,} customers are equal to another in every column; they are kept in one fold and on one side of "
        "every split: name them in the identities table if they are the same people under other ids"
    ]
