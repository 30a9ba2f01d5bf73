"""Six more simulated shops: gifts to a charity, cosmetics, electronics, a growing brand, promotions and a hobby.

In each the customers differ and behave as no model of purchase histories supposes: they answer calls, replace what
wears out, wait for promotions, stock up or come in bursts, and some attributes matter where others do not.
"""

from collections.abc import Callable

import numpy as np

from tests.benchmarks.businesses.retail_tools import (
    WEB_HOURS,
    Array,
    Calendar,
    Clock,
    Frames,
    Ints,
    Random,
    Words,
    around,
    arrivals,
    frames,
    joined,
    logistic,
    renewals,
    repeated,
    variation,
)

Parts = list[tuple[Words, ...]]
"""Customers, times and what else is known of orders, made in parts."""
LADDER = np.array([5, 10, 15, 20, 25, 30, 40, 50, 75, 100, 150, 200, 250, 500, 1000.0])
"""Round amounts that people give."""
CHRISTMASES, EASTERS = (173, 538, 903), (285, 640)
"""Days of the charity's log: about 21 December of each year, and spring."""
APPEALS = {75: 0.8, 160: 1.7, 262: 0.8, 345: 0.9, 440: 0.8, 527: 1.6, 627: 0.9, 710: 0.8, 805: 0.85, 892: 1.6}
"""Days of the charity's mailings, and how strong each is."""
DISASTER = 447


def _gifts(rng: Random, level: Array, scale: float) -> Array:
    amount = np.exp(level + rng.normal(0, scale, len(level)))
    nearest = np.abs(np.log(np.maximum(amount, 1))[:, None] - np.log(LADDER)).argmin(1)
    rounded: Array = LADDER[nearest]
    return rounded


def _direct_debits(rng: Random, these: Ints, street: Words, begin: Array, span: int) -> Parts:
    early = np.where(street, 0.085, 0.03) * np.exp(rng.normal(0, 0.5, len(these))) * variation(rng)
    late = np.where(street, 0.02, 0.009) * np.exp(rng.normal(0, 0.5, len(these)))
    share = [0.12, 0.1, 0.3, 0.08, 0.14, 0.14, 0.06, 0.03, 0.03]
    amount = rng.choice([5, 8, 10, 12, 15, 20, 25, 30, 50.0], len(these), p=share)
    alive = np.ones(len(these), bool)
    parts: Parts = []
    for month in range(31):
        times = begin + 30.4375 * month
        pays = alive & (times < span) & ((month == 0) | (rng.random(len(these)) > 0.025))
        delay = (month > 0) * rng.choice([0, 0, 0, 1, 2], pays.sum())
        parts.append((these[pays], times[pays] + delay, amount[pays]))
        raises = rng.random(len(these)) < np.where(month % 12 == 11, 0.1, 0.004)
        amount = np.where(raises, np.ceil(amount * 1.3), amount)
        alive &= rng.random(len(these)) > np.where(month < 6, early, late)
    return parts


def _christmas_gifts(rng: Random, these: Ints) -> Parts:
    back = np.clip(rng.beta(4, 2, len(these)), 0, 1)
    level = rng.normal(np.log(45), 0.8, len(these))
    centre = rng.normal(348, 11, len(these))
    first = np.array(CHRISTMASES)[rng.choice(3, len(these), p=[0.58, 0.4, 0.02])]
    alive = np.ones(len(these), bool)
    parts: Parts = []
    for christmas in CHRISTMASES:
        times = christmas + (centre - 355) + rng.normal(0, 4, len(these))
        gives = alive & (first <= christmas) & ((first == christmas) | (rng.random(len(these)) < back))
        parts.append((these[gives], times[gives], _gifts(rng, level[gives], 0.2)))
        alive &= (first > christmas) | (rng.random(len(these)) > 0.14)
    spring = rng.random(len(these)) < 0.22  # some give at Easter as well
    for easter in EASTERS:
        gives = spring & (first + 60 < easter) & (rng.random(len(these)) < 0.55 * back)
        times = easter + rng.normal(0, 9, gives.sum())
        parts.append((these[gives], times, _gifts(rng, level[gives] - 0.3, 0.3)))
    return parts


def _answers_to_appeals(rng: Random, these: Ints, by_mail: Words, begin: Array) -> Parts:
    first = np.minimum(np.searchsorted(list(APPEALS), np.maximum(begin, 20)), 8)
    willing = rng.beta(1.1, 2.2, len(these)) * np.where(by_mail, 1.1, 0.75)
    level = rng.normal(np.log(28), 0.7, len(these)) - 0.5 * (willing - 0.35)
    silent = np.zeros(len(these))
    parts: Parts = []
    for number, (day, strength) in enumerate(APPEALS.items()):
        answer = np.clip(willing * strength * np.exp(-0.28 * silent), 0, 0.97)  # silence makes more silence
        gives = (first == number) | ((first < number) & (rng.random(len(these)) < answer))
        times = day + rng.gamma(1.6, 8, gives.sum())
        parts.append((these[gives], times, _gifts(rng, level[gives], 0.35)))
        silent = np.where(gives | (first > number), 0, silent + 1)
    return parts


def _emergency_gifts(rng: Random, these: Ints, span: int) -> Parts:
    size = len(these)
    struck = rng.random(size) < 0.6
    begin = np.where(struck, DISASTER + rng.exponential(9, size), rng.uniform(0, span, size))
    repeats = rng.poisson(rng.gamma(0.35, 0.9, size))
    who = np.concatenate([np.arange(size), np.repeat(np.arange(size), repeats)])
    times = np.concatenate([begin, np.repeat(begin, repeats) + rng.exponential(260, repeats.sum())])
    level = rng.normal(np.log(38), 0.85, size)
    return [(these[who], times, _gifts(rng, level[who], 0.4))]


def charity(seed: int) -> Frames:
    """A charity whose donors give by monthly debit, every Christmas, when a mailing asks, or once after a disaster."""
    rng = np.random.default_rng([107, seed])
    calendar, size = Calendar("2016-07-01", 905), 4200
    span = calendar.span
    kind = rng.choice(4, size, p=[0.24, 0.27, 0.33, 0.16])  # direct debit, Christmas, appeals, emergency
    channel = np.empty(size, object)
    shares = [[0.5, 0.1, 0.3, 0.1], [0.05, 0.6, 0.25, 0.1], [0.05, 0.55, 0.25, 0.15], [0.03, 0.07, 0.8, 0.1]]
    for number, share in enumerate(shares):
        chosen = kind == number
        channel[chosen] = rng.choice(["street", "mail", "online", "event"], chosen.sum(), p=share)
    begin = rng.uniform(-250, span * 0.96, size)
    begin = np.where(begin < 0, rng.uniform(0, 31, size), begin)
    debit, christmas, appeals, emergency = (np.flatnonzero(kind == number) for number in range(4))
    parts = _direct_debits(rng, debit, channel[debit] == "street", begin[debit], span)
    parts += _christmas_gifts(rng, christmas)
    parts += _answers_to_appeals(rng, appeals, channel[appeals] == "mail", begin[appeals])
    parts += _emergency_gifts(rng, emergency, span)
    who, times, value = joined(parts)
    return frames(rng, calendar, (who, times, value), "D", WEB_HOURS, {"acquisition_channel": channel})


def _beauty_arrivals(rng: Random, calendar: Calendar, daily: Array, influenced: Words) -> Array:
    begin = arrivals(rng, len(influenced), daily * np.linspace(0.7, 1.2, calendar.span))
    waves = np.interp(calendar.days % 120, [0, 1, 12, 120], [3, 2.5, 0.6, 0.5])
    begin[influenced] = arrivals(rng, int(influenced.sum()), waves)
    return begin


def beauty(seed: int) -> Frames:
    """A cosmetics shop whose customers replenish what is used up, browse or buy gifts, and stock up at low prices."""
    rng = np.random.default_rng([108, seed])
    calendar, size = Calendar("2022-03-01", 500), 4600
    span = calendar.span
    black_friday = calendar.between("2022-11-23", "2022-11-28")
    valentine, march = calendar.between("2023-02-06", "2023-02-13"), calendar.between("2023-03-03", "2023-03-08")
    busy = 1 + 2.2 * black_friday + 0.6 * valentine + 0.7 * march
    daily = busy * calendar.week([1.05, 1.1, 1.05, 1, 0.95, 0.85, 1])
    channels = ["influencer", "search", "social_ads", "newsletter", "direct"]
    channel = rng.choice(channels, size, p=[0.24, 0.26, 0.26, 0.08, 0.16])
    begin = _beauty_arrivals(rng, calendar, daily, channel == "influencer")
    quality = np.select([channel == name for name in channels], [-0.6, 0.15, -0.2, 0.6, 0.4])
    kind = rng.choice(3, size, p=[0.45, 0.37, 0.18])  # replenishers, browsers, occasional gift buyers
    mean = np.exp(np.log(np.array([34.0, 62.0, 170.0]))[kind] + rng.normal(0, 0.3, size)) * variation(rng, 0.06)
    scatter = np.array([0.33, 0.8, 1.0])[kind]
    leaves_first = logistic(np.array([-0.55, 0.3, 0.5])[kind] - 0.9 * quality + rng.normal(0, 0.6, size))
    leaves_late = logistic(np.array([-3.1, -2.2, -1.7])[kind] - 0.5 * quality + rng.normal(0, 0.7, size))
    clock = Clock(daily)
    level = rng.normal(np.log(37), 0.4, size) + 0.1 * (kind == 0)
    stock = np.ones(size)

    def basket(who: Ints, times: Array, number: int) -> Array:
        cheap = black_friday[calendar.day_at(times)] > 0
        big = cheap & (rng.random(len(who)) < 0.5) | (rng.random(len(who)) < 0.06)
        amount = np.where(big, rng.uniform(1.6, 2.6, len(who)), 1.0)
        stock[who] = np.where(kind[who] == 0, amount, 1)
        first = -0.15 if number == 0 else 0
        return np.asarray(np.exp(level[who] + first + rng.normal(0, 0.38, len(who))) * amount)

    values = [basket(np.arange(size), begin, 0)]

    def gap(who: Ints, number: int, times: Array) -> Array:
        sigma = np.sqrt(np.log(1 + scatter[who] ** 2))
        own = np.exp(rng.normal(size=len(who)) * sigma - sigma**2 / 2)
        wait = np.maximum(mean[who] * own * stock[who], 0.3)  # who has stocked up waits
        later = clock.later(times, wait)
        inside = later < span
        values.append(basket(who[inside], later[inside], number + 1))
        return later

    def leaving(who: Ints, number: int) -> Array:
        return np.asarray(leaves_late[who] + (leaves_first[who] - leaves_late[who]) * np.exp(-number / 1.2))

    who, times, _ = repeated(rng, begin, np.full(size, float(span)), gap, leaving)
    orders = who, times, np.concatenate(values)
    return frames(rng, calendar, orders, "B", WEB_HOURS, {"acquisition_channel": channel})


def _replacements(rng: Random, begin: Array, firm: Words, loyal: Array, clock: Clock, span: int) -> Parts:
    times, who = begin.copy(), np.flatnonzero(~firm)
    parts: Parts = []
    while len(who):
        wait = 400 * rng.weibull(1.7, len(who)) * np.where(rng.random(len(who)) < 0.3, 0.35, 1)
        times[who] = clock.later(times[who], wait)
        who = who[times[who] < span]
        came = rng.random(len(who)) < np.clip(0.12 + 0.85 * loyal[who], 0, 1)  # or went to a competitor
        parts.append((who[came], times[who][came], rng.random(came.sum()) < 0.55))
        who = who[came | (rng.random(len(who)) < 0.5)]
    return parts


def electronics(seed: int) -> Frames:
    """An electronics shop whose customers replace what wears out, add accessories soon after, and may buy elsewhere."""
    rng = np.random.default_rng([109, seed])
    calendar, size = Calendar("2017-02-01", 880), 5600
    span, season = calendar.span, calendar.season
    busy = 0.85 + 1.9 * season(329, 4) + 0.9 * season(348, 9) + 0.25 * season(240, 14)
    daily = busy * calendar.week([1.05, 1, 1, 1, 1.05, 1, 0.9])
    clock = Clock(daily)
    region = rng.choice(["R1", "R2", "R3", "R4", "R5", "R6"], size)  # no effect
    begin = arrivals(rng, size, daily * np.linspace(1.1, 0.85, span))
    firm = rng.random(size) < 0.035
    loyal = rng.beta(0.8, 1.6, size)
    parts: Parts = [(np.arange(size), begin, rng.random(size) < 0.62)]
    parts += _replacements(rng, begin, firm, loyal, clock, span)
    firms = np.flatnonzero(firm)  # small firms order steadily
    end = np.minimum(span, begin[firms] + 900 * rng.weibull(1, len(firms)))
    rate = rng.gamma(2, 4, len(firms)) / 365 + 1e-4
    who, times, number = renewals(rng, begin[firms], end, rate, 1.1, clock)
    later = number > 0
    parts.append((firms[who[later]], times[later], rng.random(later.sum()) < 0.35))
    who, times, main = joined(parts)
    accessories = rng.poisson(np.where(main, 0.28, 0.06) * (0.4 + 1.6 * loyal[who]) * variation(rng))
    added = np.repeat(who, accessories)
    added_times = np.repeat(times, accessories) + rng.gamma(0.8, 28, accessories.sum())
    level = rng.normal(0, 0.3, size) + 0.35 * firm
    dear, cheap = np.exp(6.05 + rng.normal(0, 0.6, len(who))), np.exp(3.5 + rng.normal(0, 0.75, len(who)))
    value = np.where(main, dear, cheap) * np.exp(level[who])
    added_value = np.exp(3.2 + rng.normal(0, 0.7, len(added)) + 0.4 * level[added])
    who, times, value = joined([(who, times, value), (added, added_times, added_value)])
    return frames(rng, calendar, (who, times, value), "E", WEB_HOURS, {"region": region})


def _brand_channels(rng: Random, age: Array) -> Words:
    share = np.stack([0.45 - 0.3 * age, 0.15 - 0.05 * age, 0.25 + 0.35 * age, 0.15 + 0 * age], 1)
    share /= share.sum(1, keepdims=True)
    number = (rng.random(len(age))[:, None] > share.cumsum(1)).sum(1).clip(0, 3)
    names: Words = np.array(["organic", "referral", "paid_social", "podcast"])[number]
    return names


def dtc_brand(seed: int) -> Frames:
    """A brand that grows by advertising: later customers are worse until a fix, and some subscribe by the month."""
    rng = np.random.default_rng([110, seed])
    calendar, size = Calendar("2021-06-01", 640), 5800
    span, season, days = calendar.span, calendar.season, calendar.days
    week = calendar.week([1.05, 1, 1, 1, 0.95, 0.9, 1.1])
    adverts = 1 + 0.45 * np.sin(days / 37.0) * (np.sin(days / 11.0) > 0)
    growth = np.exp(np.minimum(days, 470) / 210)
    begin = arrivals(rng, size, growth * week * adverts * (1 + 1.0 * season(330, 7)))
    age, fixed = begin / span, begin > 450
    channel = _brand_channels(rng, age)
    known = [channel == "organic", channel == "referral", channel == "podcast"]
    quality = np.select(known, [0.25, 0.35, 0.1], -0.35) - 0.7 * np.minimum(age, 0.7) + 0.35
    quality = quality + np.where(fixed, 0.35, 0) + rng.normal(0, 0.05, size)
    zeal = rng.normal(size=size)
    once = rng.random(size) < logistic(-0.35 - 1.3 * quality)
    rate = np.exp(np.log(1 / 58) + 0.55 * quality + 0.6 * zeal) * variation(rng)
    shape = around(rng, 1.6, 0.4, size)
    life = 250 * np.exp(0.7 * quality) * rng.gamma(1.2, 1 / 1.2, size) * rng.weibull(0.85, size) * 1.3
    subscribed = rng.random(size) < np.where(fixed, 0.22, 0.07)
    rate, shape = np.where(subscribed, 1 / 30.4, rate), np.where(subscribed, 25, shape)
    life = np.where(subscribed, rng.exponential(200, size), life)
    life[once & ~subscribed] = 0
    region = rng.choice(["northeast", "midwest", "south", "west"], size, p=[0.22, 0.2, 0.33, 0.25])
    clock = Clock(week * (1 + 1.1 * season(330, 5) - 0.1 * season(215, 30)))
    who, times, number = renewals(rng, begin, np.minimum(begin + life, span), rate, shape, clock)
    level = rng.normal(np.log(54), 0.3, size) + np.where(region == "west", 0.12, 0) + 0.08 * zeal
    price = np.where(times > 300, 1.08, 1.0) * np.where(times > 540, 1.05, 1.0)
    basket = np.exp(level[who] + rng.normal(0, 0.35, len(who)) * np.where(subscribed[who], 0.15, 1))
    value = basket * price * np.where((number == 0) & (channel[who] == "paid_social"), 0.82, 1)
    attributes = {"acquisition_channel": channel, "region": region}
    return frames(rng, calendar, (who, times, value), "X", WEB_HOURS, attributes)


def _promotions(rng: Random, span: int) -> Array:
    promoted, day = np.zeros(span), 20
    while day < span:
        promoted[day : day + int(rng.integers(3, 7))] = 1
        day += int(rng.integers(32, 55))
    return promoted


def promo_shop(seed: int) -> Frames:
    """A shop with promotions: many customers come only for them, and how long they stay depends on their channel."""
    rng = np.random.default_rng([111, seed])
    calendar, size = Calendar("2020-09-01", 720), 4400
    span, promoted = calendar.span, _promotions(rng, calendar.span)
    week = calendar.week([1, 0.95, 0.95, 1, 1.05, 1.05, 1.1])
    daily = week * (1 + 0.4 * calendar.season(345, 16) - 0.15 * calendar.season(200, 30))
    channels = ["organic", "coupon_site", "affiliate", "friend", "marketplace"]
    channel = rng.choice(channels, size, p=[0.27, 0.26, 0.2, 0.09, 0.18])
    each = [channel == name for name in channels]
    quality = np.select(each, [0.3, -0.55, -0.2, 0.7, -0.7])
    hunter = rng.random(size) < np.select(each, [0.3, 0.85, 0.5, 0.25, 0.45])
    region = rng.choice(["urban", "suburban", "rural"], size, p=[0.48, 0.34, 0.18])
    for_deals = arrivals(rng, size, daily * (0.3 + 5 * promoted))
    begin = np.where(hunter, for_deals, arrivals(rng, size, daily * (1 + promoted)))
    old = rng.random(size) < 0.12
    begin[old] = rng.exponential(45, old.sum())
    rate = np.exp(np.log(1 / 85) + 0.45 * quality + 0.75 * rng.normal(size=size)) * variation(rng)
    shape = np.where(hunter, 0.8, 1.4)
    leaves = logistic(-1.75 - 0.75 * quality + 0.9 * rng.normal(size=size))
    leaves_first = logistic(-0.55 - 1.0 * quality)
    end = np.minimum(span, begin + rng.exponential(1500, size))  # some leave for reasons outside
    parts: Parts = []
    for hunts, clock in (
        (True, Clock(daily * (0.35 + 6.5 * promoted))),
        (False, Clock(daily * (0.95 + 0.8 * promoted))),
    ):
        these = np.flatnonzero(hunter == hunts)

        def leaving(who: Ints, number: int, these: Ints = these) -> Array:
            late = leaves[these[who]] * (0.55 + 0.45 * np.exp(-number / 5))
            return leaves_first[these[who]] if number == 0 else late

        who, times, _ = renewals(rng, begin[these], end[these], rate[these], shape[these], clock, leaving)
        parts.append((these[who], times))
    who, times = joined(parts)
    level = rng.normal(np.log(64), 0.45, size) + 0.3 * quality + np.where(region == "rural", 0.18, 0)
    cheap = promoted[calendar.day_at(times)] > 0
    price = np.where(cheap, np.where(hunter[who], 0.72, 0.8), 1)
    value = np.exp(level[who] + rng.normal(0, 0.5, len(who))) * price
    attributes = {"acquisition_channel": channel, "region": region}
    return frames(rng, calendar, (who, times, value), "P", WEB_HOURS, attributes)


def hobby_store(seed: int) -> Frames:
    """A hobby shop whose customers buy a kit and then bits in bursts, one a project, and rest or stop in between."""
    rng = np.random.default_rng([112, seed])
    calendar, size = Calendar("2019-05-06", 820), 3200
    span = calendar.span
    at_home = np.interp(calendar.days, [300, 330, 400, 520, 700], [1, 1.7, 1.4, 1.25, 1.05])
    daily = at_home * (1 + 0.35 * calendar.season(345, 25) - 0.2 * calendar.season(190, 35))
    clock = Clock(daily)
    channel = rng.choice(["forum", "search", "fair", "youtube"], size, p=[0.25, 0.4, 0.1, 0.25])  # no effect
    begin = arrivals(rng, size, daily * np.linspace(1.15, 0.8, span))
    old = rng.random(size) < 0.2
    begin[old] = rng.exponential(70, old.sum())
    quiet = around(rng, 95, 0.7, size) * variation(rng)  # days between projects
    busy = around(rng, 26, 0.5, size)  # days of a project
    pace = around(rng, 0.085, 0.6, size)  # orders a day inside a project
    stops = np.clip(rng.beta(0.8, 1.5, size), 0.01, 0.98)  # gives the hobby up after a project
    who, times = np.arange(size), begin.copy()
    parts: Parts = []
    while len(who):
        length = busy[who] * rng.exponential(size=len(who)) * rng.choice([0.1, 0.8, 1.5], len(who))
        bits = rng.poisson(pace[who] * length)
        parts.append((who, times[who], np.ones(len(who))))
        bought = np.repeat(times[who], bits) + np.repeat(length, bits) * rng.beta(0.9, 1.4, bits.sum())
        parts.append((np.repeat(who, bits), bought, np.zeros(bits.sum())))
        times[who] = times[who] + length
        who = who[rng.random(len(who)) >= stops[who]]
        rest = quiet[who] * rng.gamma(0.9, 1 / 0.9, len(who)) + 4
        times[who] = clock.later(np.minimum(times[who], span), rest)
        who = who[times[who] < span]
    who, times, kit = joined(parts)
    level = rng.normal(np.log(33), 0.55, size) + 0.15 * np.log(pace / 0.085)
    value = np.exp(level[who] + 0.55 * kit + rng.normal(0, 0.65, len(who)))
    return frames(rng, calendar, (who, times, value), "H", WEB_HOURS, {"acquisition_channel": channel})


BUSINESSES: dict[str, tuple[Callable[[int], Frames], str, int]] = {
    "charity": (charity, "2018-03-01", 285),
    "beauty": (beauty, "2023-02-01", 120),
    "electronics": (electronics, "2018-09-15", 270),
    "dtc_brand": (dtc_brand, "2022-08-15", 180),
    "promo_shop": (promo_shop, "2022-01-01", 210),
    "hobby_store": (hobby_store, "2020-12-01", 240),
}
