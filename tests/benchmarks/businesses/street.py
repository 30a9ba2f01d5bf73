"""Shops of daily needs and a wine merchant: a supermarket card, a pharmacy, pet food, a wine club."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from tests.benchmarks.businesses.street_tools import (
    Array,
    Businesses,
    Flags,
    Frames,
    Ledger,
    Whole,
    Words,
    arrivals,
    bump,
    calendar,
    counted,
    day_number,
    frames,
    generator,
    looked_up,
    picked,
    spread,
    wandering,
    year_days,
)


def _holidays(rng: np.random.Generator, people: int, weeks: int) -> Flags:
    """The weeks that households spend away, in two summers and a winter."""
    away = np.zeros((people, weeks), bool)
    for middle in (318, 110, 480):
        week = (middle + rng.integers(-21, 28, people)) // 7
        for later in range(2):
            travels = (rng.random(people) < 0.55) & (week + later < weeks)
            away[np.nonzero(travels)[0], (week + later)[travels]] = True
    return away


def grocery_loyalty(seed: int) -> Frames:
    """A supermarket's card: households shop weekly or fortnightly, top up, drift, move, and try a new discounter."""
    rng = generator(seed, 1)
    people = 2100
    dates = calendar("2021-09-06", 545)
    span = len(dates)
    weeks = span // 7 + 1
    week = np.arange(weeks)
    region = picked(rng, people, {"North": 0.3, "Centre": 0.35, "East": 0.2, "West": 0.15})
    born = np.where(rng.random(people) < 0.55, 0, arrivals(rng, people, np.linspace(1.2, 0.8, span)))
    gone = born + rng.exponential(365 / rng.gamma(1.3, 0.16 / 1.3, people).clip(0.01))
    # some take the card for the welcome voucher only
    voucher = rng.random(people) < 0.10
    gone = np.where(voucher, born + rng.integers(1, 25, people), gone)
    kind = rng.choice(3, people, p=[0.42, 0.25, 0.33])  # weekly, fortnightly, only top-ups
    favourite = rng.choice(7, people, p=[0.08, 0.08, 0.09, 0.12, 0.22, 0.31, 0.10])
    household = rng.choice([1, 2, 3, 4, 5], people, p=[0.27, 0.33, 0.17, 0.16, 0.07])
    wallet = rng.normal(0.9, 0.9, people)[:, None] + np.cumsum(rng.normal(0, 0.10, (people, weeks)), 1)
    trips = rng.gamma(0.9, 0.55 / 0.9, people)  # top-ups a week
    opening = int(rng.integers(215, 245))
    rival = np.clip((week * 7 - opening) / 28, 0, 1)
    tempted = rng.beta(1.2, 2, people) * (region == "East")
    damp = 1 - 0.8 * tempted[:, None] * rival[None, :]
    home = ~_holidays(rng, people, weeks)
    phase = rng.integers(0, 2, people)
    fortnight = (week[None] + phase[:, None]) % 2 == 0
    due = np.where(kind[:, None] == 0, 1, np.where(kind[:, None] == 1, fortnight, 0))
    chance = due * damp / (1 + np.exp(-wallet)) * home
    shopper, shop_week = np.nonzero(rng.random((people, weeks)) < chance)
    shift = rng.choice([-2, -1, 0, 1, 2], len(shopper), p=[0.05, 0.12, 0.62, 0.14, 0.07])
    shop_day = shop_week * 7 + favourite[shopper] + shift
    topper, top_week = counted(rng, trips[:, None] * np.exp(wandering(rng, people, weeks, 0.93, 0.5)) * damp * home)
    top_day = top_week * 7 + rng.integers(0, 7, len(topper))
    who, day = np.r_[shopper, topper], np.r_[shop_day, top_day]
    main = np.arange(len(who)) < len(shopper)
    kept = (day >= born[who]) & (day < gone[who]) & (day < span)
    who, day, main = who[kept], day[kept], main[kept]
    level = 21 * household**0.62 * spread(rng, 0, 0.33, people) * np.where(kind == 1, 1.5, 1.0)
    small = spread(rng, 0, 0.3, people) * 12
    value = np.where(main, level[who], small[who]) * _grocery_prices(dates)[day]
    ledger = Ledger()
    ledger.add(who, day, value * spread(rng, 0, np.where(main, 0.28, 0.6), len(who)))
    return frames(rng, dates, "GL", ledger, "shop", least=0.79, region=region)


def _grocery_prices(dates: pd.DatetimeIndex) -> Array:
    """Inflation, and fuller baskets before Christmas and Easter."""
    year_day = year_days(dates)
    inflation = 1 + 0.09 * np.arange(len(dates)) / 365
    return inflation * (1 + 0.35 * bump(year_day, 356, 5) + 0.08 * bump(year_day, 100, 6))


def _chronic_repeats(rng: np.random.Generator, ledger: Ledger, span: int, channel: Words, born: Whole) -> Flags:
    """Fill prescriptions every four, eight or twelve weeks, and say who is chronically ill from the beginning."""
    people = len(born)
    chronic = rng.random(people) < looked_up(channel, {"walk_in": 0.16, "gp_referral": 0.52, "online": 0.22})
    late = (~chronic) & (rng.random(people) < 0.09)
    begin = np.where(chronic, born + rng.exponential(9, people), born + rng.uniform(30, 600, people))
    end = begin + rng.exponential(365 / 0.22, people)
    # some therapies are finite: three to six fills
    finite = rng.random(people) < 0.2
    end = np.where(finite, begin + rng.uniform(60, 190, people), end)
    cycle = rng.choice([28.0, 56.0, 84.0], people, p=[0.58, 0.17, 0.25])
    sloppy = rng.gamma(2, 1.6, people)
    share = spread(rng, 2.6, 0.75, people) * cycle / 40
    who = np.nonzero(chronic | late)[0]
    day = begin[who]
    while len(who):
        alive = (day < end[who]) & (day < span)
        who, day = who[alive], day[alive]
        size = len(who)
        # the patient's share hardly varies, and sometimes another item goes along
        extra = (rng.random(size) < 0.28) * spread(rng, 2.1, 0.6, size)
        ledger.add(who, day, share[who] * (1 + 0.03 * (day > 361)) * spread(rng, 0, 0.06, size) + extra)
        gap = cycle[who] + rng.normal(0, 1, size) * sloppy[who]
        missed = rng.random(size) < 0.05
        day = day + np.maximum(gap, 8) + missed * cycle[who] * rng.uniform(0.3, 1.2, size)
    return chronic


def _illnesses(
    rng: np.random.Generator, ledger: Ledger, dates: pd.DatetimeIndex, channel: Words, born: Whole, chronic: Flags
) -> None:
    """Buy in clumps during acute illness, mostly in winter."""
    people, span = len(born), len(dates)
    year_day, days = year_days(dates), np.arange(len(dates))[None, :]
    winter = 0.55 + 1.3 * bump(year_day, 25, 38) + 0.35 * bump(year_day, 130, 18)
    wave = np.repeat(spread(rng, 0, 0.25, span // 14 + 1), 14)[:span]
    rate = rng.gamma(0.75, 1.9 / 0.75, people) * np.where(channel == "online", 0.6, 1.0)
    moved = born + rng.exponential(365 / 0.25, people)
    present = rate[:, None] / 365 * (winter * wave)[None, :] * (days >= born[:, None])
    who, day = counted(rng, present * (days < moved[:, None]))
    # newcomers come because they are ill
    new = np.nonzero((born > 0) & ~chronic)[0]
    who, day = np.r_[who, new], np.r_[day, born[new]]
    visits = rng.geometric(0.68, len(who))
    later = np.concatenate([np.r_[0, np.cumsum(rng.integers(1, 8, times - 1))] for times in visits])
    who, day = np.repeat(who, visits), np.repeat(day, visits) + later
    base = spread(rng, 2.55, 0.35, people)
    ledger.add(who, day, base[who] * spread(rng, 0, 0.65, len(who)))


def pharmacy(seed: int) -> Frames:
    """A pharmacy: the chronically ill come like clockwork for years, the others in clumps when they fall ill."""
    rng = generator(seed, 2)
    people = 3600
    dates = calendar("2021-01-04", 720)
    span = len(dates)
    channel = picked(rng, people, {"walk_in": 0.55, "gp_referral": 0.27, "online": 0.18})
    region = picked(rng, people, {"Old Town": 0.4, "Harbour": 0.35, "Suburb": 0.25})
    known = rng.random(people) < 0.35
    born = np.where(known, rng.integers(-200, 1, people), arrivals(rng, people, np.ones(span)))
    ledger = Ledger()
    chronic = _chronic_repeats(rng, ledger, span, channel, born)
    _illnesses(rng, ledger, dates, channel, born, chronic)
    return frames(rng, dates, "RX", ledger, "shop", least=1.2, acquisition_channel=channel, region=region)


@dataclass(frozen=True)
class _Pets:
    """What a pet eats, what its food costs, and how its owner behaves."""

    appetite: Array  # kilograms a day
    bag: Array
    price: Array  # of a kilogram
    leaves: Array
    leaves_at_first: Array
    death: Array
    uneven: Array
    hoards: Flags


def _pets(rng: np.random.Generator, channel: Words, born: Array) -> _Pets:
    people = len(born)
    dog = rng.random(people) < 0.56
    appetite = np.where(dog, spread(rng, -1.25, 0.6, people), spread(rng, -2.7, 0.25, people))
    bags = np.array([2.0, 4.0, 7.5, 12.0, 15.0])
    wanted = appetite * rng.uniform(20, 55, people)
    bag = bags[np.abs(np.log(bags[None, :] / wanted[:, None])).argmin(1)]
    price = spread(rng, 1.55, 0.35, people) * np.where(dog, 1, 1.45)
    fickle = looked_up(channel, {"breeder": 0.7, "search": 1.0, "marketplace": 1.9, "vet": 0.6})
    fickle_at_first = looked_up(channel, {"breeder": 0.7, "search": 1.1, "marketplace": 2.4, "vet": 0.6})
    return _Pets(
        appetite,
        bag,
        price,
        leaves=rng.beta(1.0, 12, people) * fickle,
        leaves_at_first=np.clip(0.16 * fickle_at_first, 0, 0.6),
        death=born + rng.exponential(365 / 0.07, people),
        uneven=rng.uniform(0.10, 0.45, people),
        hoards=rng.random(people) < 0.3,
    )


def pet_food(seed: int) -> Frames:
    """Pet food online: owners order when the bag is empty, leave mostly after the first, and some hoard or return."""
    rng = generator(seed, 3)
    people = 4200
    dates = calendar("2021-03-01", 700)
    span = len(dates)
    channel = picked(rng, people, {"breeder": 0.15, "search": 0.38, "marketplace": 0.32, "vet": 0.15})
    growth = np.linspace(1, 3.2, span) * np.repeat(spread(rng, 0, 0.25, span // 30 + 1), 30)[:span]
    born = arrivals(rng, people, growth).astype(float)
    pets = _pets(rng, channel, born)
    sales = [day_number(dates, "2021-11-26"), day_number(dates, "2022-11-25")]
    rise = 392.0
    ledger = Ledger()
    who, day, past = np.arange(people), born, np.zeros(people, int)
    while len(who):
        alive = (day < pets.death[who]) & (day < span)
        who, day, past = who[alive], day[alive], past[alive]
        size = len(who)
        on_sale = np.zeros(size, bool)
        for sale in sales:
            early = pets.hoards[who] & (day > sale) & (day < sale + 28) & (past > 0)
            day = np.where(early, sale + rng.integers(0, 4, size), day)
            on_sale |= early
        quantity = np.where(on_sale, 2 + (rng.random(size) < 0.4), 1 + (rng.random(size) < 0.13))
        price = pets.price[who] * np.where(day >= rise, 1.12, 1.0) * np.where(on_sale, 0.8, 1.0)
        treats = (rng.random(size) < 0.35) * spread(rng, 1.9, 0.5, size)
        ledger.add(who, day, price * pets.bag[who] * quantity + treats)
        lasts = pets.bag[who] * quantity / pets.appetite[who]
        gap = lasts * rng.gamma(1 / pets.uneven[who] ** 2, pets.uneven[who] ** 2)
        leaves = pets.leaves[who] + np.where(past == 0, pets.leaves_at_first[who], 0)
        quits = rng.random(size) < leaves + 0.05 * ((day > rise) & (day < rise + 60))
        back = quits & (rng.random(size) < 0.22)
        gap = np.where(back, gap + rng.uniform(45, 300, size), gap)
        stays = ~quits | back
        who, day, past = who[stays], (day + np.maximum(gap, 3))[stays], past[stays] + 1
    return frames(rng, dates, "PF", ledger, "web", acquisition_channel=channel)


def _mailings(rng: np.random.Generator, dates: pd.DatetimeIndex) -> list[tuple[int, float, bool]]:
    """The offers of the wine merchant: day, pull, and whether it is of wine still in the barrel."""
    mailings = []
    day = 4
    while day < len(dates):
        year_day = year_days(dates[[day]])
        barrel = 125 <= year_day[0] <= 170 and bool(rng.random() < 0.6)
        christmas, summer = float(bump(year_day, 335, 16)[0]), float(bump(year_day, 215, 20)[0])
        mailings.append((day, float(rng.normal(0, 0.45)) + 1.0 * christmas - 0.7 * summer, barrel))
        day += int(rng.integers(9, 20) if christmas < 0.3 else rng.integers(5, 10))
    return mailings


@dataclass(frozen=True)
class _Members:
    """What a member of the wine club likes, pays and collects, and how often it dozes off, wakes up and leaves."""

    born: Whole
    likes: Array
    bottle: Array
    collects: Flags
    dozes: Array
    wakes: Array
    leaves: Array


def _members(rng: np.random.Generator, channel: Words, born: Whole) -> _Members:
    people = len(born)
    taste = rng.normal(0, 1, people)
    warmth = looked_up(channel, {"tasting_event": 0.35, "magazine": -0.3, "referral": 0.35, "web": -0.15})
    purse = looked_up(channel, {"tasting_event": 0.3, "magazine": 0, "referral": 0.1, "web": -0.1})
    return _Members(
        born,
        likes=-2.35 + 0.95 * taste + warmth,
        bottle=np.exp(2.55 + 0.28 * taste + rng.normal(0, 0.5, people) + purse),
        collects=rng.random(people) < 1 / (1 + np.exp(2.6 - 0.8 * taste)),
        dozes=rng.beta(1.3, 9, people) * 2.2,
        wakes=rng.beta(1.2, 6, people) * 1.1,
        leaves=rng.beta(0.8, 8, people) * 1.1,
    )


def _offers(
    rng: np.random.Generator, ledger: Ledger, members: _Members, mailings: list[tuple[int, float, bool]]
) -> None:
    """Answer the mailings, or not."""
    people = len(members.born)
    state = np.zeros(people, int)  # 0 engaged, 1 dozing, 2 gone
    last = 0
    for day, pull, barrel in mailings:
        quarters = (day - last) / 91.3
        last = day
        joined = members.born <= day
        state = np.where(joined & (state == 0) & (rng.random(people) < members.dozes * quarters), 1, state)
        state = np.where(joined & (state == 1) & (rng.random(people) < members.wakes * quarters), 0, state)
        leaves = members.leaves * quarters * np.where(state == 1, 0.9, 0.25)
        state = np.where(joined & (rng.random(people) < leaves), 2, state)
        logit = members.likes + pull + rng.normal(0, 0.5, people)
        logit = logit + 0.5 * (barrel & members.collects) - 0.8 * (barrel & ~members.collects)
        chance = np.where(state == 0, 1 / (1 + np.exp(-logit)), np.where(state == 1, 0.012, 0)) * joined
        who = np.nonzero(rng.random(people) < chance)[0]
        size = len(who)
        bottles = rng.choice([6, 12, 18, 24], size, p=[0.52, 0.33, 0.06, 0.09])
        hoard = 1.8 * np.exp(rng.exponential(0.55, size).clip(0, 2.2))
        more = np.where(barrel & members.collects[who], hoard, 1.0)
        ordered = day + rng.choice(5, size, p=[0.46, 0.27, 0.14, 0.08, 0.05])
        value = bottles * members.bottle[who] * more * spread(rng, 0, 0.3, size)
        ledger.add(who, ordered, value * 1.04 ** (day / 365))


def wine_club(seed: int) -> Frames:
    """A wine merchant by mail: members buy on mailings only, doze for seasons, wake up, and spend very unequally."""
    rng = generator(seed, 4)
    people = 1900
    dates = calendar("2019-10-01", 1092)
    channel = picked(rng, people, {"tasting_event": 0.22, "magazine": 0.28, "referral": 0.2, "web": 0.3})
    region = picked(rng, people, {"South": 0.3, "West": 0.3, "Capital": 0.4})
    known = rng.random(people) < 0.3
    born = np.where(known, 0, arrivals(rng, people, 1 + 0.8 * bump(year_days(dates), 335, 20)))
    mailings = _mailings(rng, dates)
    members = _members(rng, channel, born)
    ledger = Ledger()
    # the case with which most join
    who = np.nonzero((rng.random(people) < 0.8) & (born > 0))[0]
    ledger.add(who, born[who], 6 * members.bottle[who] * spread(rng, -0.15, 0.25, len(who)))
    _offers(rng, ledger, members, mailings)
    return frames(rng, dates, "WC", ledger, "web", least=25, acquisition_channel=channel, region=region)


BUSINESSES: Businesses = {
    "grocery_loyalty": (grocery_loyalty, "2022-09-05", 120),
    "pharmacy": (pharmacy, "2022-05-02", 180),
    "pet_food": (pet_food, "2022-07-18", 150),
    "wine_club": (wine_club, "2021-09-15", 365),
}
