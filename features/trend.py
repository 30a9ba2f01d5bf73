"""Whether something rises or falls: a span of time against the one of the same length before it."""

from collections.abc import Callable
from typing import Any

from features.instants import DAY_US
from features.spec import Facts, Window


def trend(facts: Facts, window: Window, measured: Callable[[Any], Any]) -> Any:
    """``(now - before) / (now + before)``, from -1 to 1; null without anything in both spans.

    Null as well for customers whose first fact lies inside the spans compared: for them every trend points up.

    Parameters
    ----------
    facts : Facts
        What is compared.
    window : Window
        The later span.
    measured : callable
        From a condition on facts to the float they amount to.
    """
    now = measured(facts.within(window))
    before = measured(facts.within(Window(2 * window.days, window.days)))
    change = (now - before) / (now + before).nullif(0)
    return (facts.age.max() > 2 * window.days * DAY_US).ifelse(change, None)
