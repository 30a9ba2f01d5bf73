"""Shops whose customers differ much from each other: records, baby goods, a bakery, hardware for trades."""

import numpy as np
import pandas as pd

from tests.benchmarks.businesses.retail_tools import joined
from tests.benchmarks.businesses.special_tools import (
    Calendar,
    about,
    arrivals,
    frames,
    lift,
    numbered,
    visits,
    worded,
)
from tests.benchmarks.businesses.street_tools import Array, Businesses, Frames, Whole, Words, looked_up, picked

BABY_AGES = [-250, -150, -60, 0, 60, 200, 420, 650, 900, 1300]
BABY_NEEDS = [0.1, 0.5, 1.5, 1.7, 1.3, 1.05, 0.75, 0.4, 0.2, 0.06]
"""How much is needed for a child of each of these ages in days."""
NEVER = 1e6


def vinyl_records(seed: int) -> Frames:
    """A record shop: a few collectors carry it and buy in clumps, others come for presents, most of them once."""
    rng = np.random.default_rng([seed, 17])
    calendar, people = Calendar("2017-04-01", "2019-03-15", 270), 2600
    weight = calendar.weights(
        week=[0.9, 0.9, 0.95, 1.0, 1.3, 1.1, 1.0],
        months=[1, 0.95, 1, 1.1, 1, 0.9, 0.85, 0.85, 1, 1.1, 1.2, 1.2],
    )
    for store_day in ("2017-04-22", "2018-04-21", "2019-04-13"):
        lift(weight, calendar.at(store_day), calendar.at(store_day) + 2, 4.0)
    december, november = calendar.month == 12, calendar.month == 11
    gift = rng.random(people) < 0.22
    gift_born = rng.permutation(arrivals(rng, people, np.where(december, 6.0, np.where(november, 2.5, 0.5))))
    own_born = rng.permutation(arrivals(rng, people, weight * np.linspace(1.25, 0.85, calendar.span)))
    born = np.where(gift, gift_born, own_born)
    genre = picked(rng, people, {"rock": 0.38, "jazz": 0.17, "electronic": 0.2, "hiphop": 0.13, "soul": 0.12})
    tempo = looked_up(genre, {"rock": 1, "jazz": 1.35, "electronic": 1.1, "hiphop": 0.8, "soul": 1})
    rate = np.exp(rng.normal(-5.0, 1.05, people)) * tempo
    rate = np.where(gift, 0.0004, np.minimum(rate, 0.18))
    died = born + rng.exponential(1 / rng.gamma(1.3, 1 / 900, people))
    died = np.where(gift, born + 2000, died)
    again, day = visits(rng, rate, born + 1, died, weight)
    yearly = np.where(gift, 0.0012, 0.0)
    giver, gift_day = visits(rng, yearly, born + 60, died, np.where(december, 6.5, 0.05))
    who, day = np.r_[np.arange(people), again, giver], np.r_[born, day, gift_day]
    # some come back for what they forgot
    forgot = rng.random(len(who)) < np.where(gift[who], 0.03, 0.2)
    later = day[forgot] + rng.exponential(4, int(forgot.sum())) + 1
    who, day = np.r_[who, who[forgot]], np.r_[day, later]
    discs = 1 + rng.poisson(0.5 + 14 * np.minimum(rate[who], 0.08))
    price = about(rng, looked_up(genre, {"rock": 23, "jazz": 29, "electronic": 18, "hiphop": 24, "soul": 22}), 0.18)
    value = discs * about(rng, price[who], 0.3) * 1.07 ** (day / 365)
    rare = rng.random(len(who)) < 0.012
    value = np.where(rare, value + rng.gamma(1.5, 80, len(who)), value)
    wrapped = worded(rng.random(people) < np.where(gift, 0.7, 0.06))
    return frames(rng, calendar, "VINL", (who, day, value), (20, 2.8), 6.0, genre=genre, first_gift_wrapped=wrapped)


def _child_ages(rng: np.random.Generator, people: int) -> Array:
    """Ages in days at the first order: yet to be born, in the first months, older."""
    stage = rng.choice(3, size=people, p=[0.42, 0.38, 0.2])
    expected, infant, older = (rng.uniform(low, high, people) for low, high in ((-170, 0), (0, 300), (300, 900)))
    return np.where(stage == 0, expected, np.where(stage == 1, infant, older)).round()


def baby_goods(seed: int) -> Frames:
    """A baby shop: how often and how much families buy follows the age of the child; some have another one later."""
    rng = np.random.default_rng([seed, 19])
    calendar, people = Calendar("2021-01-01", "2022-11-01", 210), 4500
    weight = calendar.weights(
        week=[1.1, 1.05, 1, 1, 0.95, 0.85, 1.05],
        months=[1.05, 1, 1, 1, 1, 0.95, 0.9, 0.95, 1, 1, 1.15, 1.0],
    )
    born = rng.permutation(arrivals(rng, people, weight))
    firstborn = worded(rng.random(people) < 0.56)
    child = _child_ages(rng, people)
    source = picked(rng, people, {"midwife": 0.22, "search": 0.5, "advert": 0.28})
    guest = rng.random(people) < 0.17  # aunts and friends
    has_another = rng.random(people) < np.where(firstborn == "yes", 0.3, 0.12)
    another = np.where(has_another, rng.normal(880, 190, people), NEVER)
    keen = rng.gamma(0.9, 1 / 0.9, people) * looked_up(source, {"midwife": 1.3, "search": 1.0, "advert": 0.7})
    keen = keen * np.where(guest, 0.06, 1)
    died = born + rng.exponential(looked_up(source, {"midwife": 620, "search": 420, "advert": 300}))
    again, day = visits(rng, keen * 0.058, born + 1, died, weight)
    age = day - born[again] + child[again]
    age_of_other = age - another[again]
    need_of_other = np.where(age_of_other > -250, 0.8 * np.interp(age_of_other, BABY_AGES, BABY_NEEDS), 0)
    need = np.interp(age, BABY_AGES, BABY_NEEDS) + need_of_other
    kept = rng.random(len(again)) < np.minimum(need / 2.2, 1)
    who, day = np.r_[np.arange(people), again[kept]], np.r_[born, day[kept]]
    # prams and cots are bought around a birth
    age = day - born[who] + child[who]
    from_birth = np.minimum(np.abs(age), np.abs(age - another[who]) * 1.5)
    furnishes = np.where(firstborn[who] == "yes", 1, 0.5)
    big = rng.random(len(who)) < 0.04 + 0.2 * np.exp(-from_birth / 70) * furnishes
    purse = np.exp(rng.normal(0, 0.35, people))
    value = about(rng, np.where(big, 190.0, 33.0) * purse[who] * 1.05 ** (day / 365), 0.55)
    return frames(
        rng,
        calendar,
        "BABY",
        (who, day, value),
        (20, 3),
        4.5,
        child_age_days=child,
        first_child=firstborn,
        source=source,
    )


def _bakery_weeks(calendar: Calendar) -> tuple[Array, Array]:
    """How busy each day is with households and with offices: closed on Mondays and bank holidays."""
    homes = calendar.weights(week=[0, 0.5, 0.5, 0.6, 1.0, 3.0, 1.8])
    offices = calendar.weights(week=[0, 1.2, 1.2, 1.3, 1.2, 0.05, 0])
    for date, factor in {
        "2023-02-14": 2.5,
        "2023-04-08": 2.3,
        "2023-04-09": 1.6,
        "2023-05-14": 2.6,
        "2023-05-18": 0.3,
        "2023-05-28": 1.3,
    }.items():
        lift(homes, calendar.at(date), calendar.at(date), factor)
    for date in ("2023-04-07", "2023-05-01", "2023-05-29", "2023-04-10"):
        lift(homes, calendar.at(date), calendar.at(date), 0.0)
        lift(offices, calendar.at(date), calendar.at(date), 0.0)
    lift(homes, calendar.at("2023-04-11"), calendar.at("2023-04-21"), 0.75)  # school holidays
    return homes, offices


def _bakery_values(rng: np.random.Generator, calendar: Calendar, kind: Words, who: Whole, day: Array) -> Array:
    mean = about(rng, looked_up(kind, {"household": 12.5, "office": 38, "party": 64}), 0.35)
    feast = np.isin(day, [calendar.at("2023-04-08"), calendar.at("2023-05-14")])
    return about(rng, mean[who] * np.where(feast, 1.4, 1.0), 0.3)


def bakery_preorders(seed: int) -> Frames:
    """A bakery's orders in advance, with a short history: some households come on the same day of every weekend."""
    rng = np.random.default_rng([seed, 20])
    calendar, people = Calendar("2023-01-09", "2023-05-15", 45), 1800
    kind = picked(rng, people, {"household": 0.8, "office": 0.07, "party": 0.13})
    shop = picked(rng, people, {"market": 0.4, "station": 0.35, "old_town": 0.25})
    homes, offices = _bakery_weeks(calendar)
    launch = 0.8 + 1.5 * np.exp(-np.arange(calendar.span) / 25)
    born = rng.permutation(arrivals(rng, people, homes * launch))
    rate = looked_up(kind, {"household": 0.055, "office": 0.11, "party": 0.006}) * rng.gamma(1.1, 1 / 1.1, people)
    rate *= looked_up(shop, {"market": 1.15, "station": 0.85, "old_town": 1.0})
    habit = rng.random(people) < np.where(kind == "household", 0.24, 0.0)
    once = rng.random(people) < 0.2
    died = born + np.where(once, 1, rng.exponential(np.where(habit, 260, 130)))
    parts = [(np.arange(people), born)]
    office = kind == "office"
    for some, weight in ((np.flatnonzero(~office & ~habit), homes), (np.flatnonzero(office), offices)):
        of_some, day = visits(rng, rate[some], born[some] + 1, died[some], weight)
        parts.append((some[of_some], day))
    favourite = rng.choice([5, 6, 4], size=people, p=[0.65, 0.25, 0.1])
    faith = rng.beta(5, 2, people)
    first, last = calendar.at("2023-04-11"), calendar.at("2023-04-21")
    for date in np.flatnonzero(homes):
        at_home = 0.7 if first <= date <= last else 1.0
        due = habit & (favourite == calendar.weekday[date]) & (born + 1 < date) & (died > date)
        who = np.flatnonzero(due & (rng.random(people) < faith * at_home))
        parts.append((who, np.full(len(who), float(date))))
    who, day = joined(parts)
    baskets = pd.DataFrame({"who": who, "day": np.floor(day)}).drop_duplicates()
    who, day = baskets["who"].to_numpy(), baskets["day"].to_numpy()
    orders = (who, day, _bakery_values(rng, calendar, kind, who, day))
    return frames(rng, calendar, "BAKE", orders, (8.5, 1.4), 2.4, kind=kind, pickup_shop=shop)


def _building_season(calendar: Calendar) -> Array:
    """How busy each day is with trades: closed on Sundays, quiet in winter and in the holidays."""
    weight = calendar.weights(
        week=[1.25, 1.1, 1.05, 1.0, 0.85, 0.12, 0],
        months=[0.65, 0.8, 1.05, 1.15, 1.15, 1.15, 1.05, 0.85, 1.15, 1.15, 1.0, 0.6],
    )
    for christmas in calendar.yearly("12-22"):
        lift(weight, christmas, christmas + 14, 0.1)
    for summer in calendar.yearly("08-05"):
        lift(weight, summer, summer + 13, 0.6)
    return weight


def hardware_wholesale(seed: int) -> Frames:
    """Hardware for trades: accounts order regularly, grow or shrink; there are projects, and a rival of one branch."""
    rng = np.random.default_rng([seed, 21])
    calendar, people = Calendar("2016-01-04", "2018-07-01", 365), 1600
    weight = _building_season(calendar)
    shares = {"carpenter": 0.25, "electrician": 0.22, "plumber": 0.2, "builder": 0.21, "facility": 0.12}
    trade = picked(rng, people, shares)
    branch = picked(rng, people, {"A": 0.45, "B": 0.33, "C": 0.22})
    staff = np.round(np.clip(np.exp(rng.normal(1.5, 0.9, people)), 1, 120))
    early = rng.random(people) < 0.5  # had an account before the log begins
    begins = np.minimum(rng.exponential(25, people), 200)
    born = np.floor(np.where(early, begins, rng.uniform(0, calendar.span - 1, people)))
    born += np.where(calendar.weekday[born.astype(int)] == 6, 1, 0)
    rate = 0.014 * staff**0.45 * rng.gamma(1.4, 1 / 1.4, people)
    need = {"carpenter": 1, "electrician": 1.2, "plumber": 1.2, "builder": 0.9, "facility": 0.7}
    rate = np.minimum(rate * looked_up(trade, need), 0.4)
    once = ~early & (rng.random(people) < 0.3)
    died = born + rng.exponential(np.where(early, 1900, 1000))
    died = np.where(once, born + rng.exponential(12, people), died)
    # every third of three times as many visits is more regular than chance
    who, day, number = numbered(*visits(rng, 3 * rate, born, died, weight))
    third = (number + rng.integers(0, 3, people)[who]) % 3 == 2
    who, day = np.r_[np.arange(people), who[third]], np.r_[born, day[third]]
    drift = rng.normal(-0.02, 0.22, people)  # a year
    tempted = (branch == "C") & (rng.random(people) < 0.6)
    strength = np.exp(np.minimum(drift[who], 0) * (day - born[who]) / 365)
    strength *= np.where(tempted[who] & (day > calendar.at("2017-10-01")), 0.45, 1.0)
    kept = (rng.random(len(who)) < strength) | (np.arange(len(who)) < people)
    who, day = who[kept], day[kept]
    dear = {"carpenter": 1, "electrician": 1.1, "plumber": 1.25, "builder": 1.4, "facility": 0.7}
    mean = about(rng, 85 * staff**0.35 * looked_up(trade, dear), 0.4)
    growth = np.exp(np.maximum(drift[who], 0) * (day - born[who]) / 365)
    price = 1.03 ** (calendar.year[np.floor(day).astype(int)] - 2016)
    value = about(rng, mean[who] * growth * price, 0.75)
    project = rng.random(len(who)) < 0.02
    value = np.where(project, value * rng.uniform(4, 10, len(who)), value)
    return frames(
        rng, calendar, "HARD", (who, day, value), (9.5, 2.4), 7.5, trade=trade, branch=branch, employees=staff
    )


BUSINESSES: Businesses = {
    "vinyl_records": (vinyl_records, "2019-03-15", 270),
    "baby_goods": (baby_goods, "2022-11-01", 210),
    "bakery_preorders": (bakery_preorders, "2023-05-15", 45),
    "hardware_wholesale": (hardware_wholesale, "2018-07-01", 365),
}
