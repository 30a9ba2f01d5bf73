"""Offices, coffee, plants and boxes: an office supplier, a coffee app, a garden centre, a snack box."""

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
    between,
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


def _office_seasons(dates: pd.DatetimeIndex, public: Flags) -> Array:
    """A lull in August and at Christmas, and public money that has to be spent before the year ends."""
    year_day = year_days(dates)
    firms = 1 - 0.4 * bump(year_day, 225, 14) - 0.75 * bump(year_day, 361, 6)
    offices = 1 - 0.35 * bump(year_day, 225, 14) + 1.6 * bump(year_day, 335, 12)
    offices = offices - 0.8 * bump(year_day, 361, 6) - 0.4 * bump(year_day, 15, 12)
    lockdown = np.where(between(dates, "2020-03-20", "2020-05-20"), 0.5, 1.0)
    seasons: Array = np.where(public[:, None], offices[None], firms[None]) * lockdown
    return seasons


def _office_pace(
    rng: np.random.Generator, dates: pd.DatetimeIndex, public: Flags, born: Whole, rate: Array
) -> tuple[Array, Flags]:
    """The pace of each firm on each day, and which firms place a trial order or two only."""
    people, span = len(born), len(dates)
    fate = rng.choice(4, people, p=[0.52, 0.22, 0.16, 0.10])[:, None]  # steady, sudden loss, eroding, growing
    turn = np.where(fate[:, 0] == 1, rng.exponential(420, people), rng.uniform(0, 800, people)) + born.clip(0)
    trial = (born >= 0) & (rng.random(people) < 0.22)
    days = np.arange(span)[None, :]
    since = (days - turn[:, None]).clip(0)
    path = np.where(fate == 2, -since / 150.0, 0) + np.where(fate == 3, np.minimum(since / 300.0, 0.9), 0)
    mood = np.repeat(wandering(rng, people, span // 30 + 2, 0.8, 0.22), 30, axis=1)[:, :span]
    merges = rng.random(people) < 0.03
    path += np.where(merges[:, None] & (days > rng.integers(100, 850, people)[:, None]), 0.7, 0)
    workday = (dates.day_of_week.to_numpy() < 5).astype(float) * 1.4
    pace = rate[:, None] / 365 * np.exp(path + mood) * _office_seasons(dates, public) * workday[None]
    return pace * (days >= born[:, None]) * ~((fate == 1) & (days >= turn[:, None])), trial


def _regular_orders(rng: np.random.Generator, pace: Array, trial: Flags, born: Whole) -> tuple[Whole, Whole]:
    """Orders at regular gaps of a clock that runs at the pace of the firm."""
    clock = np.cumsum(pace, 1)
    regular = rng.uniform(1.0, 5.0, len(born))
    who = np.arange(len(born))
    time = np.where(born >= 0, 1e-9, rng.random(len(born)) * 1.2)
    orders: list[tuple[Whole, Whole]] = []
    while True:
        goes_on = (time < clock[who, -1]) & ~(trial[who] & (len(orders) >= 2))
        who, time = who[goes_on], time[goes_on]
        if not len(who):
            return np.concatenate([firm for firm, _ in orders]), np.concatenate([day for _, day in orders])
        day = [np.searchsorted(clock[firm], moment) for firm, moment in zip(who, time, strict=True)]
        orders.append((who, np.array(day, np.int64)))
        time = time + rng.gamma(regular[who], 1 / regular[who])


def b2b_office(seed: int) -> Frames:
    """An office supplier: firms of very unequal size order on working days at regular gaps, erode, vanish or grow."""
    rng = generator(seed, 9)
    people = 1650
    dates = calendar("2020-01-06", 900)
    channel = picked(rng, people, {"field_sales": 0.3, "web": 0.5, "public_tender": 0.2})
    region = picked(rng, people, {"R1": 0.25, "R2": 0.25, "R3": 0.25, "R4": 0.25})
    born = np.where(rng.random(people) < 0.5, -1, arrivals(rng, people, np.ones(len(dates))))
    larger = looked_up(channel, {"field_sales": 0.6, "web": -0.4, "public_tender": 0.5})
    scale = np.exp(rng.normal(0, 1.1, people) + larger)
    rate = 7.5 * scale**0.55 * spread(rng, 0, 0.45, people)  # orders a year
    basket = 88 * scale**0.5 * spread(rng, 0, 0.4, people)
    pace, trial = _office_pace(rng, dates, channel == "public_tender", born, rate)
    who, day = _regular_orders(rng, pace, trial, born)
    prices = 1.0 + 0.03 * (dates.year.to_numpy() >= 2021) + 0.08 * (dates.year.to_numpy() >= 2022)
    # now and then furniture, or a pallet of toner
    large = np.where(rng.random(len(who)) < 0.025, spread(rng, 1.6, 0.5, len(who)), 1.0)
    ledger = Ledger()
    ledger.add(who, day, basket[who] * prices[day] * large * spread(rng, 0, 0.55, len(who)))
    return frames(rng, dates, "BB", ledger, "office", least=8, acquisition_channel=channel, region=region)


def _habits(rng: np.random.Generator, born: Whole, weeks: int) -> Flags:
    """The weeks in which a customer has the habit of coming."""
    people = len(born)
    has_habit = np.zeros((people, weeks), bool)
    keeps, rests = 1 - rng.beta(1.1, 12, people), 1 - rng.beta(1.0, 14, people)
    now = np.ones(people, bool)
    for week in range(weeks):
        chance = rng.random(people)
        now = np.where(week <= born // 7, True, np.where(now, chance < keeps, chance > rests))
        has_habit[:, week] = now
    return has_habit


def _coffee_visits(
    rng: np.random.Generator, dates: pd.DatetimeIndex, channel: Words, born: Whole
) -> tuple[Whole, Whole]:
    """Who comes on which day: rarely twice, with a novelty that wears off."""
    people, span = len(born), len(dates)
    year_day, days = year_days(dates), np.arange(len(dates))[None, :]
    kind = rng.choice(4, people, p=[0.3, 0.2, 0.2, 0.3])  # commuter, weekender, student, occasional
    week = np.array(
        [
            [1.25, 1.3, 1.3, 1.25, 1.1, 0.15, 0.08],
            [0.25, 0.25, 0.3, 0.35, 0.8, 2.7, 2.3],
            [1.2, 1.3, 1.3, 1.2, 0.9, 0.6, 0.5],
            [0.9, 0.9, 0.9, 1, 1.2, 1.2, 0.9],
        ]
    )
    rate = spread(rng, 0, 0.75, people) * np.array([0.42, 0.16, 0.22, 0.05])[kind]  # visits a day of habit
    term = ((year_day < 83) | ((year_day > 108) & (year_day < 160)) | (year_day > 268)).astype(float)
    habit = _habits(rng, born, span // 7 + 1)
    coupon = (channel == "welcome_coupon") & (rng.random(people) < 0.42)
    gone = np.where(coupon, born + 1 + rng.exponential(9, people), born + rng.exponential(520, people))
    wears_off = rng.gamma(1.2, 0.12, people)
    novelty = (1 + (days - born[:, None]).clip(0) / 7.0) ** -wears_off[:, None]
    city = spread(rng, 0, 0.08, span) * (1 - 0.25 * bump(year_day, 215, 18))
    city *= np.where(bump(year_day, 128, 1.0) > 0.5, 0.5, 1)
    pace = rate[:, None] * week[kind][:, dates.day_of_week.to_numpy()] * novelty * city[None]
    pace *= np.repeat(habit, 7, 1)[:, :span]
    pace *= np.where((kind == 2)[:, None], 0.08 + 0.92 * term[None], 1.0)
    pace *= (days > born[:, None]) & (days < gone[:, None])
    pace *= np.where((channel == "referral")[:, None], 1.25, 1.0)
    who, day = np.nonzero(rng.random(pace.shape) < 1 - np.exp(-pace))
    twice = rng.random(len(who)) < 0.06
    return np.r_[np.arange(people), who, who[twice]], np.r_[born, day, day[twice]]


def coffee_app(seed: int) -> Frames:
    """A coffee chain's app from its launch: commuters, weekenders and students come by habits that begin and end."""
    rng = generator(seed, 10)
    people = 3400
    dates = calendar("2023-01-16", 336)
    days = np.arange(len(dates))
    channel = picked(rng, people, {"welcome_coupon": 0.45, "in_store_qr": 0.4, "referral": 0.15})
    region = picked(rng, people, {"Leeds": 0.4, "York": 0.25, "Hull": 0.35})
    flow = 0.35 + 2.5 * np.exp(-days / 22) + 1.0 * np.exp(-0.5 * ((days - 248) / 9) ** 2)
    who, day = _coffee_visits(rng, dates, channel, arrivals(rng, people, flow))
    size = len(who)
    menu = np.array([2.45, 2.95, 3.25, 3.6, 3.95, 4.3, 4.75])
    usual = rng.choice(7, people, p=[0.1, 0.18, 0.22, 0.2, 0.14, 0.1, 0.06])
    drink = menu[np.where(rng.random(size) < 0.72, usual[who], rng.choice(7, size))]
    hungry = rng.beta(1, 3.5, people)
    snack = (rng.random(size) < hungry[who]) * rng.choice([1.95, 2.6, 3.4, 5.25], size, p=[0.3, 0.35, 0.2, 0.15])
    in_company = np.where(dates.day_of_week.to_numpy()[day] >= 5, 0.22, 0.07)
    value = drink + snack + (rng.random(size) < in_company) * rng.choice(menu, size)
    value = np.where(day >= 150, np.round(value * 1.07 / 0.05) * 0.05, value)  # prices rise once
    ledger = Ledger()
    ledger.add(who, day, value)
    return frames(rng, dates, "CF", ledger, "coffee", acquisition_channel=channel, region=region)


def _garden_town(rng: np.random.Generator, dates: pd.DatetimeIndex, week: Array) -> Array:
    """How much the town gardens on each day: spring rules, the weather moves weeks, a lockdown boom fades."""
    year_day, span = year_days(dates), len(dates)
    season = 0.22 + 2.6 * bump(year_day, 122, 24) + 0.75 * bump(year_day, 272, 20)
    season = season + 0.9 * bump(year_day, 345, 8) - 0.12 * bump(year_day, 25, 20)
    weather = np.repeat(spread(rng, -0.06, 0.35, span // 7 + 1), 7)[:span]
    return season * weather * (1 + 0.5 * np.exp(-np.arange(span) / 170)) * week


def garden_centre(seed: int) -> Frames:
    """A garden centre: gardeners from near by come for years and mostly in spring, others for one large project."""
    rng = generator(seed, 11)
    people = 3300
    dates = calendar("2020-05-25", 900)
    span = len(dates)
    days = np.arange(span)[None, :]
    region = picked(rng, people, {"near": 0.42, "mid": 0.36, "far": 0.22})
    week = np.array([0.75, 0.7, 0.75, 0.85, 1.2, 1.9, 0.85])[dates.day_of_week.to_numpy()]
    town = _garden_town(rng, dates, week)
    known = rng.random(people) < 0.25
    born = np.where(known, 0, arrivals(rng, people, town * np.linspace(1.6, 0.6, span)))
    kind = rng.choice(3, people, p=[0.42, 0.33, 0.25])  # gardener, once a season, project
    often, seldom = rng.gamma(2.2, 3.4 / 2.2, people), rng.gamma(1.2, 1.0 / 1.2, people)
    rate = np.select([kind == 0, kind == 1], [often, seldom], rng.gamma(0.6, 0.5, people))
    rate *= looked_up(region, {"near": 1.35, "mid": 0.95, "far": 0.55})
    end = born + rng.exponential(365 / np.where(kind == 0, 0.09, 0.3))
    all_year = rng.random(people) < 0.18  # for the pond, the birds, the pets
    season = np.where(all_year[:, None], (0.9 * week)[None], town[None])
    year = spread(rng, 0, 0.4, (people, 4))[:, dates.year.to_numpy() - 2020]
    pace = rate[:, None] / 365 * 1.25 * season * year * (days > born[:, None]) * (days < end[:, None])
    again, again_day = counted(rng, pace)
    new = np.nonzero(born > 0)[0]  # the first order of the others lies before the log
    # a project is a bundle of trips within three weeks of the first
    builder = np.nonzero((kind == 2) & (born > 0))[0]
    trips = np.repeat(builder, rng.poisson(1.6, len(builder)))
    trip_day = born[trips] + rng.integers(1, 22, len(trips))
    who, day = np.r_[new, again, trips], np.r_[born[new], again_day, trip_day]
    project = np.r_[kind[new] == 2, np.zeros(len(again), bool), np.ones(len(trips), bool)]
    who, day, project = who[day < span], day[day < span], project[day < span]
    level = 31 * spread(rng, 0, 0.42, people) * np.where(region == "far", 1.35, 1.0)
    value = level[who] * (1 + 0.35 * bump(year_days(dates), 122, 30)[day]) * 1.05 ** (day / 365)
    value = value * spread(rng, 0, 0.62, len(who))
    large = 1.7 * np.exp(rng.exponential(0.5, len(who)).clip(0, 2.2))
    ledger = Ledger()
    ledger.add(who, day, value * np.where(project, large, 1.0))
    return frames(rng, dates, "GC", ledger, "shop", least=1.5, region=region)


@dataclass
class _Members:
    """How members of the snack box came, what they pay, and how readily they skip, give and leave."""

    channel: Words
    tier: Whole
    cycle: Array
    churn: Array
    churn_at_first: Array
    skips: Array
    gives: Array
    knows_rise: Flags

    def price(self, who: Whole, risen: Flags, past: Whole) -> Array:
        """The price of the tier before or after the rise, and the coupon on the first box."""
        old, new = np.array([19.9, 29.9, 44.9]), np.array([21.9, 32.9, 47.9])
        friend = np.where((past == 0) & (self.channel[who] == "friend"), 0.75, 1.0)
        coupon = np.where((past == 0) & (self.channel[who] == "influencer"), 0.5, friend)
        price: Array = np.where(risen, new[self.tier[who]], old[self.tier[who]]) * coupon
        return price

    def leaving(self, who: Whole, risen: Flags, past: Whole) -> Array:
        """The chance to leave, which falls with the boxes seen and jumps at the first risen price."""
        shock = risen & ~self.knows_rise[who]
        self.knows_rise[who[shock]] = True
        tired = self.churn[who] * (0.75 + 0.5 * np.exp(-past / 3.0))
        tired = tired + np.where(past == 0, self.churn_at_first[who], 0)
        leaving: Array = tired + np.where(shock, 0.10 + 0.08 * (self.tier[who] == 0), 0)
        return leaving


def _members(rng: np.random.Generator, channel: Words) -> _Members:
    people = len(channel)
    tier = rng.choice([0, 1, 2], people, p=[0.45, 0.38, 0.17])
    monthly = rng.random(people) < 0.78
    cycle = np.where(monthly, 30.4, np.where(rng.random(people) < 0.6, 14.0, 60.8))
    fickle = looked_up(channel, {"influencer": 1.6, "friend": 0.6, "podcast": 0.85, "search": 1.0})
    return _Members(
        channel,
        tier,
        cycle,
        churn=rng.beta(0.9, 6.5, people) * fickle,
        churn_at_first=looked_up(channel, {"influencer": 0.36, "friend": 0.08, "podcast": 0.15, "search": 0.18}),
        skips=rng.beta(0.8, 6, people),
        gives=rng.beta(0.7, 7, people),
        knows_rise=np.zeros(people, bool),
    )


def _boxes(rng: np.random.Generator, ledger: Ledger, dates: pd.DatetimeIndex, members: _Members, born: Whole) -> None:
    """Bill box after box until members leave, with gifts in December and a campaign to win the lost back."""
    span = len(dates)
    december = dates.month.to_numpy() == 12
    campaign = day_number(dates, "2022-01-10")
    who, day, past = np.arange(len(born)), born.astype(float), np.zeros(len(born), int)
    while len(who):
        who, day, past = who[day < span], day[day < span], past[day < span]
        size = len(who)
        risen = day >= 330
        extra = (rng.random(size) < 0.14) * rng.choice([3.5, 4.9, 6.9, 9.8], size)
        ledger.add(who, day, members.price(who, risen, past) + extra)
        gift = december[day.astype(int)] & (rng.random(size) < members.gives[who] * 2)
        gifts = int(gift.sum())
        ledger.add(who[gift], day[gift] + rng.integers(0, 9, gifts), rng.choice([34.9, 54.9], gifts))
        quits = rng.random(size) < members.leaving(who, risen, past)
        skips = np.where(rng.random(size) < members.skips[who], rng.geometric(0.65, size), 0)
        pause = np.where(rng.random(size) < 0.03, rng.integers(2, 5, size), 0)
        following = day + members.cycle[who] * (1 + skips + pause) + np.round(rng.normal(0, 0.9, size))
        back = quits & (day < campaign - 20) & (rng.random(size) < 0.10)
        late = quits & ~back & (rng.random(size) < 0.06)
        won = campaign + rng.integers(0, 14, size)
        following = np.where(back, won, np.where(late, day + rng.uniform(70, 260, size), following))
        stays = ~quits | back | late
        who, day, past = who[stays], following[stays], past[stays] + 1


def snack_box(seed: int) -> Frames:
    """A snack box without contract: members are billed at their own rhythm, skip, pause, leave and are won back."""
    rng = generator(seed, 12)
    people = 4600
    dates = calendar("2021-05-03", 590)
    days = np.arange(len(dates))
    channel = picked(rng, people, {"influencer": 0.42, "friend": 0.18, "podcast": 0.22, "search": 0.18})
    flow = np.full(len(dates), 0.6)
    windows = [(5, 60), (120, 180), (230, 300), (340, 400), (450, 540)]
    for campaign in [rng.integers(first, last) for first, last in windows]:
        flow += rng.uniform(1.5, 3.5) * np.exp(-(((days - campaign) / 7.0) ** 2))
    born = arrivals(rng, people, flow)
    ledger = Ledger()
    _boxes(rng, ledger, dates, _members(rng, channel), born)
    return frames(rng, dates, "SB", ledger, "web", acquisition_channel=channel)


BUSINESSES: Businesses = {
    "b2b_office": (b2b_office, "2021-11-15", 180),
    "coffee_app": (coffee_app, "2023-09-10", 90),
    "garden_centre": (garden_centre, "2022-02-01", 240),
    "snack_box": (snack_box, "2022-07-25", 84),
}
