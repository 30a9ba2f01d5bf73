"""Shops of wishes and occasions: books, fashion, tickets, toys."""

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
    year_days,
)

CITIES = {"Hamburg": 0.3, "Cologne": 0.3, "Munich": 0.25, "Leipzig": 0.15}
GENRES = {"pop": 0.3, "rock": 0.22, "classical": 0.12, "comedy": 0.14, "musical": 0.12, "football": 0.10}
FOOTBALL = 5


def books(seed: int) -> Frames:
    """A bookshop by the textbook: readers order at constant rates, leave unseen, and early cohorts are the largest."""
    rng = generator(seed, 5)
    people = 4300
    dates = calendar("2022-01-03", 560)
    span = len(dates)
    born = arrivals(rng, people, np.exp(-np.arange(span) / 130)) + rng.random(people)
    rate = rng.gamma(0.62, 1 / 52.0, people)
    loss = rng.gamma(0.70, 1 / 95.0, people)
    end = np.minimum(born + rng.exponential(1, people) / loss, span)
    again = np.repeat(np.arange(people), rng.poisson(rate * (end - born)))
    day = born[again] + rng.random(len(again)) * (end - born)[again]
    thrift = rng.gamma(3.8, 1 / 15.0, people)
    who = np.r_[np.arange(people), again]
    ledger = Ledger()
    ledger.add(who, np.r_[born, day], rng.gamma(6.0, 1.0, len(who)) / thrift[who] * 1.4)
    return frames(rng, dates, "BK", ledger, "web", least=0.99)


def fashion(seed: int) -> Frames:
    """Fashion online: some follow collections, others sales, many send things back, and interest ends or fades."""
    rng = generator(seed, 6)
    people = 6900
    dates = calendar("2020-08-15", 800)
    span = len(dates)
    year_day, days = year_days(dates), np.arange(span)[None, :]
    channel = picked(rng, people, {"paid_social": 0.4, "search": 0.25, "organic": 0.2, "affiliate": 0.15})
    region = picked(rng, people, {"AT": 0.12, "DE": 0.7, "CH": 0.18})
    collection = 0.55 + 1.1 * bump(year_day, 85, 20) + 1.2 * bump(year_day, 265, 22) + 0.4 * bump(year_day, 340, 14)
    sale = 0.25 + 2.2 * bump(year_day, 8, 11) + 2.0 * bump(year_day, 190, 13) + 2.6 * bump(year_day, 331, 4)
    week = np.array([1.1, 1, 0.95, 0.95, 0.85, 0.9, 1.3])[dates.day_of_week.to_numpy()]
    bargains = looked_up(channel, {"paid_social": 0.5, "search": 0.4, "organic": 0.3, "affiliate": 0.85})
    hunter = rng.random(people) < bargains
    fewer = np.linspace(1.7, 0.5, span)
    born = np.where(hunter, arrivals(rng, people, sale * fewer), arrivals(rng, people, collection * fewer))
    rate = rng.gamma(0.8, 2.6 / 0.8, people)  # orders a year
    faith = looked_up(channel, {"paid_social": 0.55, "search": 1.0, "organic": 1.5, "affiliate": 0.8})
    life = rng.weibull(0.65, people) * 260 * faith
    season = np.where(hunter[:, None], (sale * week)[None], (collection * week)[None])
    # the interest of one half fades, that of the other ends
    age = (days - born[:, None]).clip(0)
    fades = rng.random(people) < 0.5
    interest = np.where(fades[:, None], np.exp(-age / (life[:, None] + 20)), age < life[:, None])
    shine = 1 - 0.22 * np.arange(span) / span  # the brand loses some of it
    who, day = counted(rng, rate[:, None] / 365 * season * shine * interest * (days > born[:, None]))
    who, day = np.r_[np.arange(people), who], np.r_[born, day]
    spree = rng.random(len(who)) < 0.17
    who, day = np.r_[who, who[spree]], np.r_[day, day[spree] + rng.integers(1, 7, int(spree.sum()))]
    # wholly returned orders vanish, and frequent buyers send more back and spend less per piece
    returns = rng.beta(1.6 + 0.25 * np.sqrt(rate), 2.6, people)
    items = 1 + rng.poisson(1.1 + 0.25 * np.log1p(rate[who]))
    kept = rng.binomial(items, 1 - returns[who])
    price = 48 * spread(rng, 0, 0.4, people) / (1 + 0.12 * rate) ** 0.5
    known_day = np.minimum(day, span - 1)
    reduced = np.where(sale[known_day] > 1.1, np.where(hunter[who], 0.55, 0.75), 1.0)
    piece = price[who] * reduced * spread(rng, 0, 0.45, len(who))
    value = kept * piece * np.where(dates.year.to_numpy()[known_day] >= 2022, 1.06, 1.0)
    ledger = Ledger()
    ledger.add(who[kept > 0], day[kept > 0], value[kept > 0])
    return frames(rng, dates, "FA", ledger, "web", least=3, acquisition_channel=channel, region=region)


@dataclass(frozen=True)
class _Public:
    """Where people live, what they like and how much, and from when to when they use the ticket shop."""

    city: Words
    taste: Array
    keen: Array
    opened: Whole
    lost: Array
    party: Whole
    seats: Array

    def present(self, day: int) -> Flags:
        return (day >= self.opened) & (day < self.lost)


def _public(rng: np.random.Generator, people: int, span: int) -> _Public:
    city = picked(rng, people, CITIES)
    taste = rng.dirichlet(np.array(list(GENRES.values())) * 2.2, people)
    keen = spread(rng, 0, 1.15, people)
    opened = rng.integers(-300, span, people)
    opened = np.where(rng.random(people) < 0.35, -1, opened)
    return _Public(
        city,
        taste,
        keen,
        opened,
        lost=opened.clip(0) + rng.exponential(900, people),
        party=1 + rng.poisson(spread(rng, -0.1, 0.45, people)),
        seats=spread(rng, 0, 0.18, people),
    )


def _shows(rng: np.random.Generator, ledger: Ledger, dates: pd.DatetimeIndex, public: _Public) -> None:
    """Buy tickets of shows that people like near them: few blockbusters, many small evenings."""
    people, span, year_day = len(public.city), len(dates), year_days(dates)
    tempo = 0.7 + 0.7 * bump(year_day, 335, 14) + 0.5 * bump(year_day, 75, 30) - 0.3 * bump(year_day, 205, 25)
    shares = np.array(list(GENRES.values()))[:FOOTBALL]
    for day in np.sort(arrivals(rng, 560, tempo * np.linspace(0.8, 1.25, span))):
        genre = rng.choice(FOOTBALL, p=shares / shares.sum())
        tour = rng.random() < 0.12  # a tour sells in all cities
        city = list(CITIES)[rng.choice(4, p=list(CITIES.values()))]
        pull = min(np.exp(rng.normal(-5.55, 0.9)) * (2.6 if tour else 1.4), 0.06)
        near = np.full(people, 0.8) if tour else np.where(public.city == city, 1.0, 0.05)
        chance = pull * near * public.taste[:, genre] * 4 * public.keen * public.present(day)
        who = np.nonzero(rng.random(people) < chance.clip(0, 0.85))[0]
        size = len(who)
        price = np.exp(rng.normal([4.25, 4.0, 3.75, 3.4, 4.4][genre], 0.25)) * (1.25 if tour else 1.0)
        price *= 1.06 ** (day / 365)
        seat = rng.choice([0.7, 1.0, 1.5], size, p=[0.35, 0.45, 0.2])
        heads = np.maximum(1, public.party[who] + rng.choice([-1, 0, 1], size, p=[0.25, 0.55, 0.2]))
        wait = np.floor(rng.exponential(3 if tour else 14, size))
        ledger.add(who, day + wait, price * seat * public.seats[who] * heads + 4.9)
        # some buy a second time, for friends
        more = rng.random(size) < 0.05
        later = day + wait[more] + rng.integers(0, 10, int(more.sum()))
        ledger.add(who[more], later, (price * seat * heads)[more] * 0.8 + 4.9)


def _home_games(rng: np.random.Generator, ledger: Ledger, dates: pd.DatetimeIndex, public: _Public) -> None:
    """Buy tickets of home games every fortnight, with breaks in summer and at Christmas."""
    people = len(public.city)
    liking = public.taste[:, FOOTBALL]
    for city in CITIES:
        fans = (public.city == city) & (liking > 0.25)
        goes = np.where(fans, liking * rng.beta(1, 6, people) * 1.1, 0)
        for day in range(int(rng.integers(0, 14)), len(dates), 14):
            month = dates[day].month
            if month in {6, 7} or (month == 12 and dates[day].day > 20):
                continue
            derby = rng.random() < 0.18
            chance = goes * (1.8 if derby else 1.0) * public.present(day)
            who = np.nonzero(rng.random(people) < chance.clip(0, 0.9))[0]
            heads = np.maximum(1, public.party[who] - 1)
            bought = day - rng.integers(0, 9, len(who))
            seat = rng.choice([19.0, 34.0, 52.0], len(who), p=[0.4, 0.4, 0.2])
            ledger.add(who, bought, heads * seat * (1.2 if derby else 1.0) + 2.5)


def ticketing(seed: int) -> Frames:
    """Tickets of shows and games: a fixed public buys when something it likes goes on sale near it."""
    rng = generator(seed, 7)
    dates = calendar("2021-12-01", 760)
    public = _public(rng, 9800, len(dates))
    ledger = Ledger()
    _shows(rng, ledger, dates, public)
    _home_games(rng, ledger, dates, public)
    return frames(rng, dates, "TK", ledger, "web", region=public.city)


@dataclass(frozen=True)
class _Givers:
    """Who gives presents (0 families, 1 relatives, 2 passers-by), to how many children, how faithfully, how dear."""

    kind: Whole
    children: Whole
    loyal: Array
    budget: Array


def _givers(rng: np.random.Generator, channel: Words) -> _Givers:
    people = len(channel)
    kind = rng.choice(3, people, p=[0.50, 0.28, 0.22])
    children = np.where(kind == 0, rng.choice([1, 2, 3], people, p=[0.5, 0.38, 0.12]), 1)
    faith = looked_up(channel, {"catalogue": 1.2, "search": 0.8, "social": 0.85})
    loyal = rng.beta(1.4, 1.7, people) * faith
    return _Givers(kind, children, loyal, spread(rng, 3.45, 0.45, people) * np.where(kind == 1, 1.3, 1.0))


def _presents(rng: np.random.Generator, ledger: Ledger, dates: pd.DatetimeIndex, givers: _Givers) -> None:
    """Buy for birthdays and Christmas until the children are too old for toys."""
    people, budget = len(givers.kind), givers.budget
    for child in range(3):
        has = np.nonzero((givers.children > child) & (givers.kind < 2))[0]
        birthday = rng.integers(1, 366, people)
        age_at_start = rng.gamma(3.2, 1.5, people)
        for year in np.unique(dates.year.to_numpy()):
            new_year = day_number(dates, f"{year}-01-01")
            day = new_year + birthday[has] - rng.integers(4, 22, len(has))
            age = age_at_start[has] + day / 365
            wants = np.where((age > -0.1) & (age < 13), np.where(age < 9, 1.0, 0.45), 0)
            grown = 0.7 + 0.09 * age.clip(0, 9)
            buys = rng.random(len(has)) < givers.loyal[has] * wants * 0.95
            who = has[buys]
            ledger.add(who, day[buys], budget[who] * grown[buys] * spread(rng, 0, 0.4, len(who)))
            christmas = new_year + 336 + np.round(rng.normal(0, 10, len(has))).clip(-35, 18)
            buys = rng.random(len(has)) < np.minimum(givers.loyal[has] * 1.25, 0.95) * wants
            who = has[buys]
            ledger.add(who, christmas[buys], budget[who] * 1.35 * grown[buys] * spread(rng, 0, 0.5, len(who)))
            forgot = buys & (rng.random(len(has)) < 0.3)
            who = has[forgot]
            later = christmas[forgot] + rng.integers(1, 9, len(who))
            ledger.add(who, later, 0.5 * budget[who] * spread(rng, 0, 0.5, len(who)))


def toys(seed: int) -> Frames:
    """A toy shop: families buy for birthdays and Christmas until children grow up, guests a small present at times."""
    rng = generator(seed, 8)
    people = 5200
    dates = calendar("2019-11-04", 1090)
    span = len(dates)
    channel = picked(rng, people, {"catalogue": 0.25, "search": 0.45, "social": 0.3})
    christmas = 0.35 + 4.5 * bump(year_days(dates), 338, 14)
    born = arrivals(rng, people, christmas * np.linspace(1, 1.9, span))
    givers = _givers(rng, channel)
    short = rng.random(people) < 0.38
    quits = born + np.where(short, rng.exponential(40, people), rng.exponential(1100, people))
    ledger, later = Ledger(), Ledger()
    ledger.add(np.arange(people), born, givers.budget * spread(rng, 0, 0.4, people))
    _presents(rng, later, dates, givers)
    parties = np.where(givers.kind == 0, rng.gamma(1.0, 1.1, people), 0.12) * givers.loyal
    closed = np.where(between(dates, "2020-03-20", "2020-06-01"), 0.25, 1.0)
    guest, day = counted(rng, parties[:, None] / 365 * closed[None, :] * (np.arange(span)[None, :] > born[:, None]))
    later.add(guest, day, 17 * spread(rng, 0, 0.3, len(guest)))
    who, when, value = later.columns()
    kept = (when > born[who]) & (when < quits[who]) & (when < span)
    ledger.add(who[kept], when[kept], value[kept])
    return frames(rng, dates, "TY", ledger, "web", least=4, acquisition_channel=channel)


BUSINESSES: Businesses = {
    "books": (books, "2023-01-09", 180),
    "fashion": (fashion, "2022-04-01", 150),
    "ticketing": (ticketing, "2023-05-15", 180),
    "toys": (toys, "2021-11-01", 300),
}
