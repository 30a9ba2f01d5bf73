"""Shops with dates of their own: Christmas decoration, school supplies, streetwear, flowers."""

from dataclasses import dataclass

import numpy as np

from tests.benchmarks.businesses.retail_tools import joined
from tests.benchmarks.businesses.special_tools import Calendar, about, arrivals, frames, visits, worded
from tests.benchmarks.businesses.street_tools import (
    Array,
    Businesses,
    Frames,
    Ledger,
    Whole,
    Words,
    looked_up,
    picked,
)


@dataclass(frozen=True)
class _Decorators:
    """Who decorates how: how likely and how often in a season, how long before Christmas, since when, how dear."""

    kind: Words
    home: Words
    newsletter: Words
    style: Words
    comes: Array
    more: Array
    middle: Array
    since: Whole
    budget: Array


def _decorators(rng: np.random.Generator, people: int) -> _Decorators:
    kind = picked(rng, people, {"enthusiast": 0.13, "starter": 0.27, "occasional": 0.45, "bargain": 0.15})

    def of_kind(enthusiast: float, starter: float, occasional: float, bargain: float) -> Array:
        table = {"enthusiast": enthusiast, "starter": starter, "occasional": occasional, "bargain": bargain}
        return looked_up(kind, table)

    home = worded(rng.random(people) < of_kind(0.75, 0.35, 0.5, 0.5), "house", "flat")
    newsletter = worded(rng.random(people) < of_kind(0.7, 0.4, 0.25, 0.6))
    style = picked(rng, people, {"classic": 0.5, "nordic": 0.3, "colourful": 0.2})
    comes = np.clip(rng.beta(2, 2, people) * 2 * of_kind(0.8, 0.4, 0.22, 0.36), 0.01, 0.97)
    more = of_kind(1.5, 0.7, 0.15, 0.25) * rng.gamma(2, 0.5, people)
    middle = rng.normal(of_kind(-48, -24, -24, 6), 9)
    since = rng.choice([2019, 2020, 2021], size=people, p=[0.36, 0.4, 0.24])
    budget = about(rng, of_kind(78, 92, 41, 27) * np.where(home == "house", 1.2, 0.9), 0.4)
    return _Decorators(kind, home, newsletter, style, comes, more, middle, since, budget)


def christmas_decoration(seed: int) -> Frames:
    """Christmas decoration: enthusiasts come early and every year, others furnish a home once or wait for the sale."""
    rng = np.random.default_rng([seed, 14])
    calendar, people = Calendar("2019-08-01", "2021-09-15", 120), 6500
    decorators = _decorators(rng, people)
    kind, budget = decorators.kind, decorators.budget
    ledger = Ledger()
    for year in (2019, 2020, 2021):
        new = decorators.since == year
        chance = decorators.comes * (0.92 if year == 2021 else 1.0)
        comes = np.flatnonzero(new | ((decorators.since < year) & (rng.random(people) < chance)))
        more = decorators.more[comes] * np.where(new[comes], 1.1, 0.9) * (1.15 if year == 2020 else 1)
        who = np.repeat(comes, 1 + rng.poisson(more))
        day = calendar.at(f"{year}-12-24") + decorators.middle[who] + rng.normal(0, 12, len(who))
        # only bargains are bought when it is too late for a parcel
        late = (day > calendar.at(f"{year}-12-21")) & (kind[who] != "bargain")
        day[late] = calendar.at(f"{year}-12-20") - rng.exponential(9, int(late.sum()))
        # who has furnished a home has enough
        settled = np.where((kind[who] == "starter") & ~new[who], 0.5, 1.0)
        ledger.add(who, day, about(rng, budget[who] * settled * 1.03 ** (year - 2019), 0.5))
        wants_easter = rng.random(people) < np.where(kind == "enthusiast", 0.17, 0.025)
        who = np.flatnonzero((decorators.since <= year) & wants_easter)
        day = calendar.at(f"{year + 1}-03-25") + rng.normal(0, 13, len(who))
        ledger.add(who, day, about(rng, 0.5 * budget[who], 0.4))
    # offices and film sets buy at any time of the year
    strays = rng.choice(people, size=260, replace=False)
    day = rng.uniform(0, calendar.span, len(strays))
    ledger.add(strays, day, about(rng, budget[strays] * 0.8, 0.6))
    return frames(
        rng,
        calendar,
        "XMAS",
        ledger.columns(),
        (19, 3),
        4.9,
        home=decorators.home,
        newsletter=decorators.newsletter,
        favourite_style=decorators.style,
    )


@dataclass(frozen=True)
class _Classes:
    """Who buys for which grade since which summer, when school begins there, how keen, how faithful, how dear."""

    since: Whole
    grade: Array
    later: Whole
    keen: Array
    faith: Array
    basket: Array
    born: Array


def _school_entries(rng: np.random.Generator, calendar: Calendar, since: Whole, later: Whole) -> Array:
    """Days of first orders, most of them before school begins and some within the school year."""
    in_between = rng.random(len(since)) < 0.22
    born = np.empty(len(since))
    for year in (2020, 2021, 2022):
        new = since == year
        around = np.clip(rng.normal(-5, 10, int(new.sum())), -50, 40)
        born[new] = calendar.at(f"{year}-08-12") + later[new] + around
        late = new & in_between
        born[late] = calendar.at(f"{year}-09-20") + rng.uniform(0, 250, int(late.sum()))
    return np.maximum(born, 0)


def _school_years(rng: np.random.Generator, calendar: Calendar, ledger: Ledger, classes: _Classes) -> None:
    """Buy when school begins, at half-term and for what was forgotten, until children have grown out of it."""
    born, keen, faith, basket = classes.born, classes.keen, classes.faith, classes.basket
    people = len(born)
    loyal = np.ones(people, bool)
    for year in (2020, 2021, 2022):
        begins = calendar.at(f"{year}-08-12") + classes.later
        grade = classes.grade + (year - classes.since)
        if year > 2020:
            loyal &= (born > begins - 40) | (rng.random(people) < 0.88)
        at_school = loyal & (grade <= 12)
        chance = faith * np.where(np.isin(grade, [5, 7, 11]), 0.85, 1)
        comes = np.flatnonzero(at_school & (born < begins - 60) & (rng.random(people) < chance))
        who = np.repeat(comes, 1 + rng.poisson(0.35 * keen[comes]))
        day = begins[who] + rng.normal(-4, 10, len(who))
        ledger.add(who, day, basket[who] * np.where(grade[who] > 6, 0.85, 1.05))
        who = np.flatnonzero(loyal & (np.abs(born - begins) < 45) & (rng.random(people) < 0.3 * keen))
        ledger.add(who, born[who] + rng.gamma(2, 7, len(who)), 0.45 * basket[who])
        who = np.flatnonzero(at_school & (born < begins + 120) & (rng.random(people) < 0.3 * faith * keen))
        ledger.add(who, calendar.at(f"{year + 1}-02-05") + rng.normal(0, 8, len(who)), 0.5 * basket[who])


def school_supplies(seed: int) -> Frames:
    """School supplies: parents come when school begins until children are grown, teachers buy throughout the year."""
    rng = np.random.default_rng([seed, 15])
    calendar, people = Calendar("2020-06-15", "2022-06-30", 150), 5500
    buyer = picked(rng, people, {"parent": 0.78, "teacher": 0.09, "student": 0.13})
    region = picked(rng, people, {"early_start": 0.55, "late_start": 0.45})
    grades = rng.choice(np.arange(1, 13), people, p=[0.2, *[0.1] * 5, *[0.06] * 4, 0.03, 0.03])
    grade = np.where(buyer == "parent", grades, 0).astype(float)
    later = np.where(region == "early_start", 0, 24)
    keen = rng.gamma(2.2, 1 / 2.2, people)
    faith = rng.beta(2, 1.7, people) * looked_up(buyer, {"parent": 1.0, "teacher": 1.3, "student": 0.6})
    basket = about(rng, looked_up(buyer, {"parent": 46, "teacher": 38, "student": 24}), 0.35)
    since = rng.choice([2020, 2021, 2022], size=people, p=[0.42, 0.36, 0.22])
    born = _school_entries(rng, calendar, since, later)
    ledger = Ledger()
    ledger.add(np.arange(people), born, basket * 1.15)
    classes = _Classes(since, grade, later, keen, np.clip(faith, 0, 0.96), basket, born)
    _school_years(rng, calendar, ledger, classes)
    weight = calendar.weights(
        week=[1.1, 1.1, 1, 1, 0.9, 0.8, 1.1],
        months=[0.9, 1, 0.9, 0.8, 0.7, 0.6, 0.5, 1.2, 1.8, 1.2, 1, 0.7],
    )
    rate = looked_up(buyer, {"parent": 0.12, "teacher": 1.6, "student": 0.6}) / 100 * keen
    died = born + rng.exponential(looked_up(buyer, {"parent": 700, "teacher": 1200, "student": 380}))
    again, day = visits(rng, rate, born + 3, died, weight)
    ledger.add(again, day, 0.55 * basket[again])
    who, day, mean = ledger.columns()
    kept = day >= born[who]
    who, day, mean = who[kept], day[kept], mean[kept]
    value = about(rng, mean * np.where(day > calendar.at("2022-03-01"), 1.07, 1.0), 0.45)
    orders = (who, day, value)
    return frames(rng, calendar, "SCHL", orders, (18, 4), 3.5, buyer=buyer, region=region, grade_at_signup=grade)


def streetwear_drops(seed: int) -> Frames:
    """Streetwear in drops on every other Thursday: fans cool off, resellers follow the hype, and the brand fades."""
    rng = np.random.default_rng([seed, 16])
    calendar, people = Calendar("2021-01-01", "2022-05-15", 90), 7000
    drops = np.arange(calendar.at("2021-01-07"), calendar.span, 14)
    hype = np.exp(rng.normal(0, 0.45, len(drops))) * np.linspace(1.15, 0.75, len(drops))
    hype[rng.choice(len(drops), 4, replace=False)] *= 1.8  # collaborations
    kind = picked(rng, people, {"fan": 0.3, "casual": 0.64, "reseller": 0.06})
    country = picked(rng, people, {"DE": 0.4, "FR": 0.25, "NL": 0.15, "UK": 0.2})
    follows = worded(rng.random(people) < looked_up(kind, {"fan": 0.85, "casual": 0.4, "reseller": 0.7}))
    shoe_size = rng.choice(np.arange(38, 47), people).astype(float)
    first = rng.choice(len(drops), size=people, p=hype**1.3 / (hype**1.3).sum())
    born = drops[first].astype(float)
    passion = looked_up(kind, {"fan": 0.24, "casual": 0.035, "reseller": 0.2}) * rng.gamma(1.8, 1 / 1.8, people)
    cooling = rng.gamma(2, looked_up(kind, {"fan": 150, "casual": 80, "reseller": 200}) / 2)
    customs = np.where(country == "UK", 0.75, 1.0)
    taste = about(rng, looked_up(kind, {"fan": 98, "casual": 72, "reseller": 215}), 0.3)
    ledger = Ledger()
    ledger.add(np.arange(people), born, taste)
    for drop, excitement in zip(drops, hype, strict=True):
        age = drop - born
        pull = np.where(kind == "reseller", excitement**2.2, excitement)
        chance = passion * pull * customs * np.exp(-np.maximum(age, 0) / (cooling * 1.5)) * 0.9
        who = np.flatnonzero((age > 0) & (rng.random(people) < np.clip(chance, 0, 0.92)))
        next_day = rng.random(len(who)) < 0.18
        ledger.add(who, drop + next_day, taste[who])
    weight = calendar.weights(
        week=[0.8, 0.8, 0.9, 1.2, 1.2, 1.0, 1.1],
        months=[0.9, 0.8, 0.9, 1, 1, 1, 0.9, 0.9, 1, 1.05, 1.5, 1.4],
    )
    who, day = visits(rng, passion * 0.022, born + 1, born + cooling * 2, weight)
    ledger.add(who, day, taste[who])
    who, day, usual = ledger.columns()
    pieces = rng.choice([0.45, 0.7, 1.0, 1.7], size=len(who), p=[0.2, 0.35, 0.3, 0.15])
    value = np.round(usual * pieces / 5) * 5 + np.where(country[who] == "UK", 14.9, 4.9)
    return frames(
        rng,
        calendar,
        "DROP",
        (who, day, value),
        (19, 1.5),
        14.9,
        country=country,
        follows_social=follows,
        shoe_size=shoe_size,
    )


@dataclass(frozen=True)
class _Senders:
    """Who sends flowers: the reason of the first time, from when to when, and how often a date is thought of."""

    reason: Words
    born: Array
    died: Array
    recall: Array

    def active(self, who: Whole, day: Array) -> tuple[Whole, Array]:
        """Orders that fall into the time in which their customer sends flowers."""
        kept = (day > self.born[who] + 5) & (day < self.died[who])
        return who[kept], day[kept]


def _by_reason(
    reason: Words, birthday: float, romance: float, own_home: float, mother: float, sympathy: float
) -> Array:
    """The number that belongs to the reason of each customer."""
    table = {"birthday": birthday, "romance": romance, "own_home": own_home, "mother": mother, "sympathy": sympathy}
    return looked_up(reason, table)


def _own_dates(rng: np.random.Generator, senders: _Senders) -> list[tuple[Whole, Array]]:
    """Flowers for birthdays and anniversaries, the same days of every year."""
    people = len(senders.reason)
    more = rng.poisson(_by_reason(senders.reason, 1.5, 0.8, 0.4, 0.8, 0.2))
    who = np.repeat(np.arange(people), more)
    date = rng.uniform(0, 365, len(who))
    began_with_date = np.isin(senders.reason, ["birthday", "romance"])
    same = np.flatnonzero(began_with_date & (rng.random(people) < 0.8))
    who, date = np.r_[who, same], np.r_[date, senders.born[same]]
    parts = []
    for year in range(-1, 4):
        thinks = rng.random(len(who)) < senders.recall[who]
        day = date[thinks] + 365 * year - rng.integers(0, 4, int(thinks.sum()))
        parts.append(senders.active(who[thinks], day))
    return parts


def florist(seed: int) -> Frames:
    """A florist: people send flowers on dates of their own and on those of everybody, some bring them home weekly."""
    rng = np.random.default_rng([seed, 22])
    calendar, people = Calendar("2021-06-01", "2022-12-15", 200), 5000
    shares = {"birthday": 0.32, "romance": 0.22, "own_home": 0.17, "mother": 0.17, "sympathy": 0.12}
    reason = picked(rng, people, shares)
    handover = worded(rng.random(people) < 0.55, "delivery", "pickup")
    weight = calendar.weights(
        week=[0.8, 0.8, 0.9, 1.0, 1.4, 1.4, 0.7],
        months=[0.9, 1.0, 1.05, 1.1, 1.2, 1, 0.9, 0.85, 0.95, 1, 1, 1.15],
    )
    valentines = [calendar.at("2022-02-14"), calendar.at("2023-02-14")]
    mothers_days = [calendar.at("2022-05-08"), calendar.at("2023-05-14")]
    all_souls = [calendar.at("2021-10-31"), calendar.at("2022-10-31")]
    born = rng.permutation(arrivals(rng, people, weight))
    for first_reason, days, share in (("romance", valentines, 0.4), ("mother", mothers_days, 0.75)):
        on_date = np.flatnonzero((reason == first_reason) & (rng.random(people) < share))
        size = len(on_date)
        born[on_date] = rng.choice(days, size=size, p=[0.6, 0.4]) - rng.integers(0, 4, size)
    died = born + rng.gamma(1.2, _by_reason(reason, 700, 520, 420, 800, 300) / 1.2)
    senders = _Senders(reason, born, died, rng.beta(1.7, 2.3, people))
    parts = [(np.arange(people), born), *_own_dates(rng, senders)]
    for days, chance in (
        (valentines, _by_reason(reason, 0.16, 1.2, 0.1, 0.08, 0.04)),
        (mothers_days, _by_reason(reason, 0.4, 0.3, 0.25, 1.4, 0.1)),
        (all_souls, _by_reason(reason, 0.04, 0.02, 0.08, 0.08, 0.6)),
    ):
        for date in days:
            who = np.flatnonzero(rng.random(people) < senders.recall * chance)
            parts.append(senders.active(who, date - rng.integers(0, 4, len(who)).astype(float)))
    rate = _by_reason(reason, 0.0022, 0.003, 0.022, 0.0016, 0.001) * rng.gamma(0.9, 1 / 0.9, people)
    parts.append(senders.active(*visits(rng, rate, born, died, weight)))
    who, day = joined(parts)
    fee = np.where(handover == "delivery", 6.9, 0)
    mean = about(rng, _by_reason(reason, 36, 42, 21, 33, 68) + fee, 0.28)
    peaks = [date - before for date in valentines + mothers_days for before in range(4)]
    price = mean[who] * np.where(np.isin(np.floor(day), peaks), 1.22, 1.0)
    value = about(rng, price * np.where(day > calendar.at("2022-09-01"), 1.06, 1.0), 0.28)
    prefix, orders = "FLOR", (who, day, value)  # codespell:ignore
    return frames(rng, calendar, prefix, orders, (12.5, 3), 6.0, first_reason=reason, handover=handover)


BUSINESSES: Businesses = {
    "christmas_decoration": (christmas_decoration, "2021-09-15", 120),
    "school_supplies": (school_supplies, "2022-06-30", 150),
    "streetwear_drops": (streetwear_drops, "2022-05-15", 90),
    "florist": (florist, "2022-12-15", 200),
}
