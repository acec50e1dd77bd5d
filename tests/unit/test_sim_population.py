"""The population: where people are from, whom they know, what it offers to operations, how much memory it takes."""

from __future__ import annotations

import math
import tracemalloc
from collections import Counter

import numpy as np
import pytest
from phone import Phone

from detectors.model.errors import LanjieError
from loadtest.sim.population import CARD_AGE, DORMANT, Population, generator
from loadtest.sim.profile import profile_of
from loadtest.truth import DAY_MS

Z = 3.719
SUBSCRIBERS = 20_000


def world_of(subscribers=SUBSCRIBERS, **population):
    return Population(
        profile_of(
            {
                "name": "world",
                "description": "",
                "seed": 3,
                "start": "2026-03-02T17:00:00+08:00",
                "minutes": 60,
                "population": {"subscribers": subscribers, "represents": 70_000_000, **population},
            }
        )
    )


@pytest.fixture(scope="module")
def world():
    return world_of()


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def near(found, total, share):
    """Whether a binomial count is within its one in ten thousand bounds."""
    return abs(found - total * share) < Z * math.sqrt(total * share * (1 - share))


def test_numbers_are_allotted_to_the_place_they_stand_for(world):
    book = Phone()
    for person in range(0, world.size, 97):
        found = book.find(str(world.numbers[person]))
        place = world.prefixes.places[world.place[person]]
        assert (found["province"], found["city"]) == (place.province, place.city)


def test_numbers_are_different(world):
    assert len(set(world.numbers.tolist())) == SUBSCRIBERS


def test_shares_of_the_regions(world):
    provinces = Counter(world.prefixes.places[place].province for place in world.place.tolist())
    assert near(provinces["湖南"], SUBSCRIBERS, 0.9)
    weights = Counter()
    for place, weight in zip(world.prefixes.places, world.prefixes.weights.tolist(), strict=True):
        weights[place.province] += weight
    del weights["湖南"]
    assert near(provinces["广东"], SUBSCRIBERS, 0.1 * weights["广东"] / weights.total())


def test_an_unknown_province_is_told():
    with pytest.raises(LanjieError, match=r"\$\.population\.home: 'Hunan' is no province; expected one of"):
        world_of(home="Hunan")


def test_acquaintances_know_each_other(world, rng):
    for number in world.people(rng, 100):
        known = world.acquaintances(number)
        assert len(set(known)) == len(known)
        assert number not in known
        assert all(number in world.acquaintances(other) for other in known)


def test_nearly_everybody_knows_as_many_as_was_drawn(world, rng):
    """Two who meet in two layers, and the odd one out, know fewer; in a city of hundreds that is a few in a hundred."""
    people = [world.person(number) for number in world.people(rng, 300)]
    wanted = sum(int(world.contacts.degrees[person]) for person in people)
    known = sum(len(world.contacts.of(person)) for person in people)
    assert 0.85 * wanted < known <= wanted


def test_most_acquaintances_are_of_the_same_city(world, rng):
    """Four layers in five."""
    pairs = [(number, other) for number in world.people(rng, 300) for other in world.acquaintances(number)]
    here = sum(world.place[world.person(a)] == world.place[world.person(b)] for a, b in pairs)
    assert 0.7 < here / len(pairs) < 0.9


def test_degrees_have_a_heavy_tail(world):
    degrees = world.contacts.degrees
    assert 18 <= np.median(degrees) <= 21  # 20, rounded down
    assert np.quantile(degrees, 0.99) > 5 * np.median(degrees)


def test_a_stranger_has_no_acquaintances(world, rng):
    assert world.acquaintances(world.fresh_cards(rng, 1)[0].number) == []
    assert world.acquaintances("10086") == []
    assert world.acquaintances("+97912345678") == []


def test_people_come_once_and_from_the_region(world, rng):
    people = world.people(rng, 500, region="湖南")
    assert len(set(people)) == 500
    assert {world.prefixes.places[world.place[world.person(number)]].province for number in people} == {"湖南"}
    assert not any(world.dormant[world.person(number)] for number in people)


def test_more_people_than_there_are(world, rng):
    with pytest.raises(LanjieError, match=r"\$\.population\.subscribers: 30000 people wanted, \d+ there; raise it"):
        world.people(rng, 30_000)


def test_the_same_generator_gives_the_same_people_whoever_asked_before(world, rng):
    first = world.people(np.random.default_rng(1), 10)
    world.people(rng, 100)
    world.fresh_cards(rng, 10)
    assert world.people(np.random.default_rng(1), 10) == first


def test_fresh_cards(world, rng):
    cards = world.fresh_cards(rng, 200, region="广东")
    assert len({card.number for card in cards}) == len({card.identity_hash for card in cards}) == 200
    assert all(world.person(card.number) is None for card in cards)
    assert all(world.start - 30 * DAY_MS <= card.sold < world.start for card in cards)
    assert {Phone().find(card.number[3:])["province"] for card in cards} == {"广东"}


def test_dormant_cards_are_old(world, rng):
    assert all(card.sold <= world.start - 365 * DAY_MS for card in world.dormant_cards(rng, 50))


def test_answers(world, rng):
    assert near(int(world.answers(rng, 10_000).sum()), 10_000, 0.35)


def test_dormant_and_age(world):
    assert near(int(world.dormant.sum()), SUBSCRIBERS, DORMANT)
    older = float((world.age_days >= CARD_AGE).mean())
    assert near(older * SUBSCRIBERS, SUBSCRIBERS, math.exp(-1))  # exponential; whole days change it by 1 in 4000


def test_identities_hold_one_to_three_cards(world):
    held = Counter(Counter(world.identity.tolist()).values())
    people = sum(held.values())
    assert set(held) <= {1, 2, 3}
    assert near(held[2], people, 0.12)
    assert near(held[3], people, 0.03)


def test_neighbours_are_of_the_same_city(world, rng):
    people = np.arange(0, SUBSCRIBERS, 7)
    assert (world.place[world.neighbours(rng, people)] == world.place[people]).all()
    assert (world.place[world.townspeople(rng, people)] == world.place[people]).all()


def test_cells_of_a_district(rng):
    """A city of 5,000 to 10,000 is one district, with four cells."""
    world = world_of(6_000, home="北京", home_share=1.0)
    assert len(set(world.cells(rng, np.arange(world.size)))) == 4


def test_streams_of_randomness_are_apart():
    assert generator(1, "people").random() != generator(1, "cards").random()
    assert generator(1, "people").random() != generator(2, "people").random()


def test_a_million_subscribers_fit():
    tracemalloc.start()
    try:
        world = world_of(1_000_000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert world.size == 1_000_000
    assert peak < 300e6
