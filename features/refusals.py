"""What pydantic refuses, in the words of an error: what would have been allowed."""

from collections.abc import Callable, Mapping
from typing import Any

_KINDS = {
    "missing": "a value, which is required",
    "string_type": "a text",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "decimal_type": "a number",
    "decimal_parsing": "a number",
    "finite_number": "a finite number",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "list_type": "a list",
    "tuple_type": "a list",
    "model_attributes_type": "an object",
    "json_invalid": "JSON",
}
_BOUNDED: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "greater_than": lambda bound: f"more than {bound['gt']}",
    "greater_than_equal": lambda bound: f"{bound['ge']} or more",
    "less_than": lambda bound: f"less than {bound['lt']}",
    "less_than_equal": lambda bound: f"at most {bound['le']}",
    "literal_error": lambda bound: str(bound["expected"]),
    "too_short": lambda bound: f"at least {bound['min_length']}",
    "too_long": lambda bound: f"at most {bound['max_length']}",
    "string_too_short": lambda bound: f"a text of at least {bound['min_length']} characters",
    "string_too_long": lambda bound: f"a text of at most {bound['max_length']} characters",
}


def allowed_by(error: Mapping[str, Any]) -> str:
    """What one of pydantic's errors would have let pass.

    Parameters
    ----------
    error : mapping
        One of `pydantic.ValidationError.errors`.

    Examples
    --------
    >>> allowed_by({"type": "greater_than", "ctx": {"gt": 0}, "msg": "Input should be greater than 0"})
    'more than 0'
    """
    kind = error["type"]
    if kind in _BOUNDED:
        return _BOUNDED[kind](error["ctx"])
    said = str(error["msg"]).removeprefix("Value error, ").removeprefix("allowed: ")
    return _KINDS.get(kind, said)
