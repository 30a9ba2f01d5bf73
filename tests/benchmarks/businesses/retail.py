"""Six simulated shops: wholesale, groceries, clothes and a marketplace.

In each the customers differ and behave as no model of purchase histories supposes: they come at seasons, in habits,
on other clocks than each other, and some attributes matter where others do not.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from tests.benchmarks.businesses.retail_tools import (
    OFFICE_HOURS,
    WEB_HOURS,
    Array,
    Calendar,
    Clock,
    Frames,
    Ints,
    around,
    arrivals,
    frames,
    joined,
    logistic,
    renewals,
    repeated,
    variation,
)


def gift_wholesaler(seed: int) -> Frames:
    """A wholesaler of gifts sells to shops that buy before Christmas, to retailers, wholesalers and a few giants."""
    rng = np.random.default_rng([101, seed])
    calendar, size = Calendar("2009-12-01", 739), 4300
    span, season, month, day = calendar.span, calendar.season, calendar.dates.month, calendar.dates.day
    week = calendar.week([1, 1.05, 1.1, 1.2, 0.95, 0.004, 0.65])
    closed = np.where(((month == 12) & (day >= 23)) | ((month == 1) & (day <= 3)), 0.003, 1)
    height = variation(rng, 0.15)
    autumn = height * (0.95 * season(312, 32) + 0.35 * season(265, 20))
    usual = (0.75 + autumn - 0.18 * season(25, 25)) * week * closed
    gifts = (0.12 + 4.2 * season(312, 22) + 0.25 * season(110, 25)) * week * closed
    level_year = (0.9 + 0.35 * season(305, 35)) * week * closed
    kind = rng.choice(4, size, p=[0.27, 0.575, 0.135, 0.02])  # gift buyers, retailers, wholesalers, giants
    zeal = rng.normal(size=size)
    yearly = np.log(np.array([1.9, 4.2, 9.5, 40.0]))[kind] + np.array([0.4, 0.8, 0.7, 0.6])[kind] * zeal
    rate = np.exp(yearly) / 365 * variation(rng)
    shape = np.array([0.9, 1.0, 1.5, 2.2])[kind] * np.exp(rng.normal(0, 0.25, size))
    begin = arrivals(rng, size, usual * np.interp(np.arange(span), [0, 120, span], [1.0, 0.8, 0.45]))
    old = rng.random(size) < np.array([0.12, 0.2, 0.5, 0.75])[kind]  # already customers when the log begins
    begin[old] = np.minimum(rng.exponential(0.8 / rate[old]), span * 0.97 * rng.random(old.sum()) ** 0.5)
    life = np.array([1100, 800, 1600, 4000.0])[kind] * rng.weibull(0.85, size)
    life[rng.random(size) < np.array([0.22, 0.11, 0.03, 0.0])[kind]] = 0
    end, parts = np.minimum(begin + life, span), []
    for number, daily in enumerate([gifts, usual, level_year, level_year]):
        these = np.flatnonzero(kind == number)
        who, times, _ = renewals(rng, begin[these], end[these], rate[these], shape[these], Clock(daily))
        parts.append((these[who], times))
    who, times = joined(parts)
    saturday = calendar.weekday[calendar.day_at(times)] == 5
    times = times + np.where(saturday & (rng.random(len(times)) < 0.97), 1, 0)
    countries = ["United Kingdom", "Germany", "France", "EIRE", "Netherlands", "Spain", "Other"]
    region = rng.choice(countries, size, p=[0.91, 0.022, 0.02, 0.008, 0.006, 0.008, 0.026])
    level = np.array([5.2, 5.45, 6.05, 7.1])[kind] + 0.22 * zeal + rng.normal(0, 0.55, size)
    level = level + 0.45 * (region != "United Kingdom")
    value = np.exp(level[who] + rng.normal(0, 0.55, len(who)) + 0.12 * season(300, 35)[calendar.day_at(times)])
    giant = rng.random(len(who)) < 0.0006
    value[giant] *= rng.uniform(10, 45, giant.sum())
    return frames(rng, calendar, (who, times, value), "W", OFFICE_HOURS, {"region": region})


def grocery_cohort(seed: int) -> Frames:
    """A grocer's customers of one quarter buy more or less regularly, go on holiday, and cool down or leave."""
    rng = np.random.default_rng([102, seed])
    calendar, size = Calendar("2006-01-01", 729), 1700
    week = calendar.week([0.9, 0.85, 0.9, 1.05, 1.35, 1.25, 0.7])
    clock = Clock((1 - 0.22 * calendar.season(205, 22) + 0.12 * calendar.season(350, 10)) * week)
    begin = rng.uniform(0, 90, size)
    zeal = rng.normal(size=size)
    rate = np.exp(np.log(1 / 38) + 0.85 * zeal) * variation(rng)
    shape = around(rng, 2.4, 0.7, size)  # mixed regularity
    mean_life = np.exp(rng.normal(np.log(430), 0.9, size) + 0.25 * zeal)  # frequent buyers live longer
    life = mean_life * rng.weibull(0.95, size)
    life[rng.random(size) < 0.2] *= 0.05
    cooling = np.where(rng.random(size) < 0.4, rng.uniform(0.0, 0.0022, size), 0)  # some do so instead of leaving

    def gap(who: Ints, _: int, times: Array) -> Array:
        wait = rng.gamma(shape[who]) / (shape[who] * rate[who]) * np.exp(cooling[who] * (times - begin[who]))
        holiday = np.where(rng.random(len(who)) < 0.03, rng.uniform(20, 90, len(who)), 0)
        return clock.calendar(clock.of(times) + wait + holiday)

    who, times, _ = repeated(rng, begin, np.minimum(begin + life, calendar.span), gap)
    level = rng.normal(np.log(31), 0.45, size)
    scatter = around(rng, 0.4, 0.3, size)
    value = np.exp(level[who] + rng.normal(size=len(who)) * scatter[who]) * (1 + 0.03 * times / 365)
    return frames(rng, calendar, (who, times, value), "G")


def apparel_cohort(seed: int) -> Frames:
    """A clothes shop's customers of one quarter buy at seasons; those of the stores oftener and longer than online."""
    rng = np.random.default_rng([103, seed])
    calendar, size = Calendar("2021-01-02", 885), 2600
    season, height = calendar.season, variation(rng, 0.2)
    seasons = 0.8 * season(118, 24) + 0.75 * season(300, 26) + 0.9 * season(345, 12) + 0.7 * season(8, 9)
    daily = (0.55 + height * seasons) * calendar.week([0.8, 0.85, 0.9, 1, 1.15, 1.5, 0.8])
    channel = rng.choice(["online", "store"], size, p=[0.62, 0.38])
    region = rng.choice(["north", "south", "east", "west"], size)  # does not matter
    store = channel == "store"
    begin = arrivals(rng, size, daily[:92])
    rate = rng.gamma(0.95, 3.4 / 0.95, size) / 365 * np.where(store, 1.5, 0.85) * variation(rng) + 1e-5
    life = 980 * rng.gamma(1.4, 1 / 1.4, size) * rng.weibull(1.35, size)
    life[rng.random(size) < np.where(store, 0.1, 0.22)] = 0
    end = np.minimum(begin + life, calendar.span)
    who, times, _ = renewals(rng, begin, end, rate, np.where(store, 1.3, 0.85), Clock(daily))
    again = np.flatnonzero(rng.random(len(who)) < 0.05)  # something exchanged or added soon after
    who = np.concatenate([who, who[again]])
    times = np.concatenate([times, times[again] + rng.uniform(2, 16, len(again))])
    level = rng.normal(np.log(46), 0.4, size)
    value = np.exp(level[who] + rng.normal(0, 0.6, len(who)) + 0.25 * season(325, 40)[calendar.day_at(times)])
    attributes = {"acquisition_channel": channel, "region": region}
    return frames(rng, calendar, (who, times, value), "A", attributes=attributes)


def handmade_goods(seed: int) -> Frames:
    """A growing marketplace where nearly everybody buys once, and those who come again do so within days or late."""
    rng = np.random.default_rng([104, seed])
    calendar, size = Calendar("2017-01-03", 600), 6000
    growth = logistic((calendar.days - 230) / 75) + 0.08
    days_after = np.where(calendar.between("2017-11-25", "2017-11-28") > 0, 2.2, 1)
    black_friday = np.where(calendar.between("2017-11-24", "2017-11-24") > 0, 7, days_after)
    begin = arrivals(rng, size, growth * black_friday * calendar.week([1.12, 1.1, 1.06, 1.03, 0.98, 0.75, 0.85]))
    states = ["SP", "RJ", "MG", "RS", "PR", "SC", "BA", "DF", "ES", "GO", "PE", "CE", "PA", "OTHER"]
    share = np.array([0.42, 0.13, 0.117, 0.055, 0.05, 0.037, 0.034, 0.021, 0.02, 0.02, 0.017, 0.013, 0.01, 0.056])
    region = rng.choice(states, size, p=share / share.sum())
    returning = np.flatnonzero(rng.random(size) < 0.042 * variation(rng, 0.05))
    again = np.repeat(returning, rng.geometric(0.82, len(returning)))
    soon = rng.random(len(again)) < 0.38
    wait = np.where(soon, rng.exponential(5, len(again)), rng.gamma(1.1, 130, len(again)))
    far = np.isin(region, ["BA", "PE", "CE", "PA", "OTHER"])
    who, times = np.concatenate([np.arange(size), again]), np.concatenate([begin, begin[again] + wait])
    taste = rng.normal(0, 0.45, size)
    value = np.exp(4.45 + taste[who] + rng.normal(0, 0.72, len(who)) + 0.15 * far[who])
    value += rng.gamma(2.2, 8, len(who)) * np.where(far[who], 1.8, 1)  # freight
    return frames(rng, calendar, (who, times, value), "M", WEB_HOURS, {"region": region})


def _supermarket_days(calendar: Calendar) -> Array:
    new_year = (pd.Timestamp("2001-01-24") - pd.Timestamp(calendar.start)).days
    before = 1 + 0.9 * np.exp(-0.5 * ((calendar.days - new_year + 5) / 4) ** 2)
    daily = calendar.week([0.88, 0.8, 0.82, 0.85, 0.9, 1.3, 1.45]) * before
    daily[new_year : new_year + 3] *= 0.15
    daily[new_year + 3 : new_year + 20] *= 0.8
    daily *= np.where(calendar.days > 150, 0.93, 1)  # a competitor opens
    return daily


def supermarket(seed: int) -> Frames:
    """A supermarket over half a year: neighbours come often with small baskets, many at weekends, visitors once."""
    rng = np.random.default_rng([105, seed])
    calendar, size = Calendar("2000-11-01", 187), 5200
    span, daily = calendar.span, _supermarket_days(calendar)
    areas = ["115", "221", "114", "105", "110", "106", "other"]
    area = rng.choice(areas, size, p=[0.34, 0.3, 0.13, 0.07, 0.06, 0.04, 0.06])
    near = np.select([area == "115", area == "221", area == "114"], [0.35, 0.2, 0.0], -0.45)
    zeal = rng.normal(size=size)
    rate = np.exp(np.log(1 / 27) + 0.95 * zeal + near) * variation(rng)
    shape = around(rng, 1.25, 0.35, size)
    visitor = rng.random(size) < 0.2
    clock = Clock(daily)
    begin = clock.calendar(rng.exponential(1 / rate) * 0.9)
    late = (rng.random(size) < 0.45) | (begin >= span)
    begin[late] = arrivals(rng, int(late.sum()), daily * np.linspace(1.1, 0.8, span))
    life = rng.exponential(around(rng, 240, 0.8, size))
    life[visitor] = 0
    weekend = rng.random(size) < 0.3
    who, times, _ = renewals(rng, begin, np.minimum(begin + life, span), rate, shape, clock)
    day = calendar.day_at(times)
    weekday = calendar.weekday[day]
    waits = weekend[who] & (weekday < 4) & (rng.random(len(who)) < 0.6)
    shift = np.where(waits, 5 - weekday + rng.integers(0, 2, len(who)), 0)
    shift = np.where(day + shift >= span, 0, shift)
    level = rng.normal(np.log(520), 0.6, size) - 0.22 * zeal  # frequent shoppers fill small baskets
    value = np.exp(level[who] + rng.normal(0, 0.75, len(who)) + 0.15 * (shift > 0)).round()
    return frames(rng, calendar, (who, times + shift, value), "T", attributes={"region": area})


def grocery_delivery(seed: int) -> Frames:
    """A grocery delivery whose customers order by habit, most on a favourite weekday, and pause at times."""
    rng = np.random.default_rng([106, seed])
    calendar, size = Calendar("2015-03-02", 425), 2900
    channel = rng.choice(["organic", "promo_code", "app_store", "referral"], size, p=[0.3, 0.34, 0.2, 0.16])
    known = [channel == "organic", channel == "referral", channel == "app_store"]
    quality = np.select(known, [0.0, 0.25, -0.1], -0.45)
    city = rng.choice(["SF", "NYC", "CHI", "ATX", "SEA"], size, p=[0.3, 0.28, 0.18, 0.12, 0.12])  # no effect
    growth = np.interp(calendar.days, [0, 60, 250, 425], [0.5, 1.2, 0.9, 0.6])
    begin = arrivals(rng, size, calendar.week([1.25, 0.9, 0.85, 0.85, 0.95, 1.0, 1.2]) * growth)
    habit = rng.choice(4, size, p=[0.12, 0.36, 0.3, 0.22])
    own = np.exp(rng.normal(0, 0.18, size) - 0.25 * quality)
    mean = np.array([3.8, 7.2, 14.5, 29.0])[habit] * own * variation(rng, 0.05)
    shape = np.array([3, 5, 4, 2.2])[habit] * np.exp(rng.normal(0, 0.4, size))
    frailty = np.exp(rng.normal(0, 0.9, size) - 1.1 * quality)
    favourite = rng.integers(0, 7, size)
    strict = rng.beta(1.2, 1.6, size)

    def gap(who: Ints, number: int, times: Array) -> Array:
        early = 1 + 0.35 * np.exp(-number / 3)  # habits form: early gaps are longer
        wait = rng.gamma(shape[who]) / shape[who] * mean[who] * early
        pause = np.where(rng.random(len(who)) < 0.018, rng.uniform(14, 70, len(who)), 0)
        planned = times + np.maximum(wait, 0.6) + pause
        shift = (favourite[who] - planned.astype(int)) % 7
        shift = np.where(shift > 3, shift - 7, shift)
        kept = (rng.random(len(who)) < strict[who]) & (mean[who] > 5) & (planned + shift > times + 1)
        return np.asarray(planned + np.where(kept, shift, 0))

    def leaving(who: Ints, number: int) -> Array:
        risk = 0.012 * np.sqrt(mean[who] / 7) + 0.115 * np.exp(-number / 1.6)
        return np.asarray(np.minimum(0.95, risk * frailty[who]))

    who, times, number = repeated(rng, begin, np.full(size, float(calendar.span)), gap, leaving)
    order = np.lexsort((times, who))
    who, times, number = who[order], times[order], number[order]
    since = np.where(number > 0, np.diff(times, prepend=times[0]), mean[who])
    level = rng.normal(np.log(58), 0.35, size) + 0.12 * np.log(mean / 10)
    stock_up = 0.18 * np.log(np.clip(since, 0.5, 60) / mean[who])
    value = np.exp(level[who] + stock_up + 0.02 * np.minimum(number, 10) + rng.normal(0, 0.32, len(who)))
    value[(number == 0) & (channel[who] == "promo_code")] *= 0.75
    attributes = {"acquisition_channel": channel, "region": city}
    return frames(rng, calendar, (who, times, value), "I", WEB_HOURS, attributes)


BUSINESSES: dict[str, tuple[Callable[[int], Frames], str, int]] = {
    "gift_wholesaler": (gift_wholesaler, "2011-06-01", 180),
    "grocery_cohort": (grocery_cohort, "2007-04-01", 270),
    "apparel_cohort": (apparel_cohort, "2022-07-01", 330),
    "handmade_goods": (handmade_goods, "2018-02-15", 180),
    "supermarket": (supermarket, "2001-03-01", 60),
    "grocery_delivery": (grocery_delivery, "2016-01-15", 90),
}
