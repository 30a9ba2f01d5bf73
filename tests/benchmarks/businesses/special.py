"""Shops that people come back to: a brewery, an online printer, contact lenses, vegetable boxes."""

from dataclasses import dataclass

import numpy as np

from tests.benchmarks.businesses.special_tools import Calendar, about, arrivals, frames, lift, lived, visits
from tests.benchmarks.businesses.street_tools import (
    Array,
    Businesses,
    Flags,
    Frames,
    Ledger,
    Whole,
    Words,
    looked_up,
    picked,
)


def craft_beer(seed: int) -> Frames:
    """A brewery's web shop, nearly by the textbook: mild seasons of summer and presents, and one step of prices."""
    rng = np.random.default_rng([seed, 11])
    calendar, people = Calendar("2021-03-01", "2022-09-01", 120), 4200
    weight = calendar.weights(
        week=[0.9, 0.8, 1.0, 1.3, 1.4, 0.9, 0.8],
        months=[0.9, 0.9, 1, 1, 1.05, 1.1, 1.1, 1.05, 1, 0.95, 1.05, 1.25],
    )
    born = arrivals(rng, people, weight * np.linspace(1.1, 0.9, calendar.span))
    source = picked(rng, people, {"web": 0.55, "taproom": 0.3, "festival": 0.15})
    package = picked(rng, people, {"bottle": 0.4, "can": 0.6})
    thirst = looked_up(source, {"web": 1.0, "taproom": 1.15, "festival": 0.8})
    rate = rng.gamma(0.95, 1 / 36, people) * thirst
    faith = looked_up(source, {"web": 1.0, "taproom": 1.1, "festival": 0.75})
    leaving = rng.beta(0.9, 3.2, people) ** faith
    life = rng.geometric(np.clip(leaving, 1e-4, 1))
    again, day = visits(rng, rate, born + 1, np.full(people, calendar.span), weight)
    who, day = lived(np.r_[np.arange(people), again], np.r_[born, day], life)
    mean = 6.0 * 38 / rng.gamma(5.5, 1, people)
    price = np.where(day >= calendar.at("2022-02-01"), 1.05, 1.0)
    value = rng.gamma(6.0, mean[who] / 6.0) * price
    return frames(rng, calendar, "BEER", (who, day, value), (18, 3), 9.0, source=source, package=package)


def printing_service(seed: int) -> Frames:
    """An online printer: private people come for an occasion, firms again and again, most of them on working days."""
    rng = np.random.default_rng([seed, 12])
    calendar, people = Calendar("2020-06-01", "2022-03-01", 180), 3200
    weight = calendar.weights(
        week=[1.2, 1.2, 1.15, 1.05, 0.9, 0.2, 0.3],
        months=[0.9, 1, 1.05, 1, 1.05, 1, 0.9, 0.8, 1.1, 1.1, 1.15, 0.95],
    )
    for christmas in calendar.yearly("12-24"):
        lift(weight, christmas, christmas + 8, 0.25)
    born = arrivals(rng, people, weight * np.linspace(0.9, 1.1, calendar.span))
    account = picked(rng, people, {"private": 0.5, "freelance": 0.25, "company": 0.17, "club": 0.08})
    region = picked(rng, people, dict.fromkeys(("north", "south", "east", "west"), 0.25))
    need = looked_up(account, {"private": 0.004, "freelance": 0.012, "company": 0.026, "club": 0.009})
    rate = need * rng.gamma(1.3, 1 / 1.3, people)
    leaving = looked_up(account, {"private": 0.4, "freelance": 0.14, "company": 0.06, "club": 0.12})
    life = rng.geometric(np.clip(rng.beta(2.2 * leaving, 2.2 * (1 - leaving)), 1e-3, 1))
    again, day = visits(rng, rate, born + 1, np.full(people, calendar.span), weight)
    who, day = lived(np.r_[np.arange(people), again], np.r_[born, day], life)
    mean = about(rng, looked_up(account, {"private": 34, "freelance": 62, "company": 145, "club": 80}), 0.55)
    value = about(rng, mean[who], 0.6)
    return frames(rng, calendar, "PRNT", (who, day, value), (13, 3), 6.9, account=account, region=region)


@dataclass(frozen=True)
class _Wearers:
    """Who wears which lenses, how long a pack lasts and what it costs, who is loyal, and who only tries them once."""

    lens: Words
    age: Array
    gap: Array
    price: Array
    loyal: Array
    tries: Flags


def _wearers(rng: np.random.Generator, people: int) -> _Wearers:
    lens = picked(rng, people, {"daily": 0.42, "monthly": 0.4, "toric": 0.18})
    age = rng.gamma(9, 4, people).clip(15, 75).round()
    packs = rng.choice([1, 2], size=people, p=[0.6, 0.4])
    supply = looked_up(lens, {"daily": 45, "monthly": 95, "toric": 92}) * packs
    # a pack lasts longer where lenses are not worn every day
    wear = np.clip(rng.beta(6, 2.2, people), 0.25, 1.0)
    loyal = rng.beta(1.6, 1.0, people)
    tries = rng.random(people) < 0.24
    price = looked_up(lens, {"daily": 33, "monthly": 27, "toric": 46}) * np.where(lens == "daily", 1, 1.15)
    price = price * packs * np.exp(rng.normal(0, 0.12, people))
    return _Wearers(lens, age, supply / wear, price, loyal, tries)


def contact_lenses(seed: int) -> Frames:
    """Contact lenses: people reorder when a pack is used up, stock up in January, and the young leave for a rival."""
    rng = np.random.default_rng([seed, 13])
    calendar, people = Calendar("2019-09-01", "2021-09-01", 180), 5000
    weight = calendar.weights(
        week=[1.2, 1.1, 1.05, 1, 0.9, 0.8, 1.0],
        months=[1.15, 1, 1, 1, 1.05, 1.1, 1.05, 1, 1, 0.95, 0.95, 0.85],
    )
    born = arrivals(rng, people, weight)
    wearers = _wearers(rng, people)
    rival, dearer = calendar.at("2020-12-01"), calendar.at("2021-01-15")
    ledger = Ledger()
    who, day = np.arange(people), born
    while len(who):
        size = len(who)
        sale = (calendar.month[day.astype(int)] == 1) & (rng.random(size) < 0.3)
        packs = np.where(sale, 2, 1)
        price = np.where(day >= dearer, 1.06, 1.0) * np.where(sale, 0.88, 1.0)
        wants_care = rng.random(size) < np.where(wearers.lens[who] == "daily", 0.06, 0.35)
        care = np.where(wants_care, rng.uniform(7, 19, size), 0)
        ledger.add(who, day, wearers.price[who] * packs * price + care)
        tempted = (day > rival) & (wearers.age[who] < 40)
        leaving = (0.03 + 0.2 * (1 - wearers.loyal[who])) * np.where(tempted, 1.45, 1.0)
        leaving = np.where(wearers.tries[who] & (day == born[who]), 0.8, leaving)
        stays = rng.random(size) > leaving
        gap = wearers.gap[who] * packs * np.exp(rng.normal(0, 0.2, size))
        # some buy elsewhere once
        gap += np.where(rng.random(size) < 0.08, rng.exponential(70, size), 0)
        day = day + np.maximum(gap, 5)
        kept = stays & (day < calendar.span)
        who, day = who[kept], day[kept]
    return frames(rng, calendar, "LENS", ledger.columns(), (19, 3), 8.0, lens=wearers.lens, age=wearers.age)


@dataclass(frozen=True)
class _Households:
    """Who gets which box how often, on which day of the week, from which week on, and how settled the habit is."""

    box: Words
    weekly: Flags
    route: Whole
    first_week: Whole
    voucher: Flags
    skips: Array
    leaving: Array
    leaving_trial: Array
    away_from: Whole
    away_for: Whole
    phase: Whole
    extras: Array

    def due(self, age: Whole) -> Flags:
        """Whose box would come so many weeks after the first."""
        in_turn = (age + self.phase * (age > 0)) % 2 == 0
        return np.asarray(self.weekly | in_turn | (age == 0))

    def away(self, week: int) -> Flags:
        """Who is on holiday."""
        return np.asarray((week >= self.away_from) & (week < self.away_from + self.away_for))


def _deliveries(rng: np.random.Generator, calendar: Calendar, ledger: Ledger, households: _Households) -> None:
    """Deliver week by week: some skip, stop, most of them after a trial or when prices rise, and come back."""
    people = len(households.box)
    price = looked_up(households.box, {"small": 18.9, "medium": 26.9, "large": 37.9})
    active, resting = np.ones(people, bool), np.zeros(people, bool)
    monday = -int(calendar.weekday[0])
    dearer = calendar.at("2022-10-15")
    christmas = calendar.at("2022-12-26") // 7
    invited_back = {calendar.at(date) // 7 for date in ("2022-09-12", "2023-01-09")}
    for week in range(calendar.span // 7 + 1):
        age = week - households.first_week
        subscribed = active & ~resting & (age >= 0)
        chance = np.where(households.away(week), 0.08, 1 - households.skips)
        chance *= 0.35 if week in {christmas, christmas + 1} else 1.0
        takes = (age == 0) | (rng.random(people) < chance)
        who = np.flatnonzero(subscribed & households.due(age) & takes)
        adds = rng.random(len(who)) < 0.55
        extras = np.where(adds, rng.gamma(1.5, households.extras[who] / 1.5 + 0.01), 0)
        reduced = np.where(households.voucher[who] & (age[who] < 3), 0.7, 1.0)
        inflation = 1.08 if week * 7 >= dearer else 1.0
        day = monday + 7 * week + households.route[who]
        ledger.add(who, day, price[who] * inflation * reduced + extras)
        leaving = households.leaving + np.where(age < 7, households.leaving_trial, 0)
        leaving *= 1.9 if dearer <= week * 7 < dearer + 21 else 1.0
        resting |= subscribed & (rng.random(people) < leaving)
        resting &= rng.random(people) >= (0.12 if week in invited_back else 0.0035)
        active &= ~(resting & (rng.random(people) < 0.02))


def farm_box(seed: int) -> Frames:
    """Vegetable boxes every week or fortnight: many leave after a trial, pause for holidays, and some are won back."""
    rng = np.random.default_rng([seed, 18])
    calendar, people = Calendar("2022-02-01", "2023-02-15", 100), 3300
    box = picked(rng, people, {"small": 0.45, "medium": 0.37, "large": 0.18})
    rhythm = picked(rng, people, {"weekly": 0.45, "fortnightly": 0.55})
    district = picked(rng, people, {"centre": 0.3, "hills": 0.2, "riverside": 0.2, "suburb": 0.3})
    weight = calendar.weights(months=[1.6, 1.1, 1.1, 1.1, 1, 0.9, 0.6, 0.7, 1.1, 1, 0.8, 0.5])
    first, last = calendar.at("2022-09-05"), calendar.at("2022-09-25")  # of a campaign with vouchers
    lift(weight, first, last, 2.2)
    joined = arrivals(rng, people, weight)
    voucher = (joined >= first) & (joined <= last)
    households = _Households(
        box,
        weekly=rhythm == "weekly",
        route=looked_up(district, {"centre": 2, "hills": 3, "riverside": 2, "suburb": 4}).astype(int),
        first_week=(joined // 7).astype(int),
        voucher=voucher,
        skips=rng.beta(1.4, 7, people),
        leaving=rng.gamma(1.2, 0.016 / 1.2, people) * np.where(box == "large", 0.75, 1.0),
        leaving_trial=rng.beta(1.3, 6.5, people) * np.where(voucher, 1.7, 1.0),
        away_from=rng.integers(calendar.at("2022-07-01") // 7, calendar.at("2022-09-01") // 7, people),
        away_for=rng.integers(1, 5, people),
        phase=rng.integers(0, 2, people),
        extras=rng.gamma(0.8, 6, people),
    )
    ledger = Ledger()
    _deliveries(rng, calendar, ledger, households)
    columns = ledger.columns()
    return frames(rng, calendar, "FARM", columns, (10, 2), 9.0, box=box, rhythm=rhythm, district=district)


BUSINESSES: Businesses = {
    "craft_beer": (craft_beer, "2022-09-01", 120),
    "printing_service": (printing_service, "2022-03-01", 180),
    "contact_lenses": (contact_lenses, "2021-09-01", 180),
    "farm_box": (farm_box, "2023-02-15", 100),
}
