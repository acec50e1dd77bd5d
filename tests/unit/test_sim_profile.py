"""Profiles: read strictly, told where they are wrong; those that are shipped can be used."""

from __future__ import annotations

import pytest

from loadtest.fraud import PATTERNS
from loadtest.sim.profile import ProfileError, load, profile_of, shipped
from loadtest.sim.simulate import Simulation, operation, simulate

TABLE = {
    "name": "small",
    "description": "",
    "seed": 1,
    "start": "2026-03-02T17:00:00+08:00",
    "minutes": 5,
    "population": {"subscribers": 700, "represents": 70_000},
}


def test_times_and_scale():
    profile = profile_of(TABLE)
    assert profile.start_ms == 1_772_442_000_000  # 2026-03-02T09:00:00Z
    assert profile.end_ms == 1_772_442_300_000
    assert profile.offset_ms == 8 * 3_600_000
    assert profile.scale == 100


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"minutes": 0}, r"p\.toml: \$\.minutes: Expected `int` >= 1"),
        ({"minuets": 5}, r"p\.toml: \$\.minuets: no setting has this name"),
        ({"start": "2026-03-02T17:00:00"}, r"p\.toml: \$\.start: .*timezone"),
        ({"benign": {"known_calls": 2}}, r"p\.toml: \$\.benign\.known_calls: Expected `float` <= 1\.0"),
        ({"population": {"subscribers": 700}}, r"p\.toml: \$\.population: .*`represents`"),
        ({"operations": {"one": {"numbers": 3}}}, r"p\.toml: \$\.operations\.one\.pattern: expected the name"),
    ],
)
def test_mistakes_are_told(change, told):
    with pytest.raises(ProfileError, match=told):
        profile_of(TABLE | change, "p.toml")


def test_an_unknown_pattern_is_told():
    with pytest.raises(Exception, match=r"^\$\.operations\.one\.pattern: unknown pattern 'lottery'; expected one of "):
        operation("one", {"pattern": "lottery"})


def test_a_file_that_is_not_there_or_no_toml(tmp_path):
    with pytest.raises(ProfileError, match=r"nowhere: No such file or directory; expected one of attack, hunan"):
        load("nowhere")
    path = tmp_path / "p.toml"
    path.write_text("name = ")
    with pytest.raises(ProfileError, match=r"p\.toml: not TOML \("):
        load(str(path))


def test_the_shipped_ones():
    assert shipped() == ["attack", "hunan_busy_hour", "smoke", "spring_festival"]


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_one_can_be_used(name):
    profile = load(name)
    assert profile.name == name
    for title, table in profile.operations.items():
        operation(title, table)


def test_smoke_has_every_pattern():
    assert {table["pattern"] for table in load("smoke").operations.values()} == PATTERNS.keys()


def test_hunan_is_the_busy_hour_of_the_press_conference():
    """70 million x 8 calls in 8 hours."""
    profile = load("hunan_busy_hour")
    calls = profile.population.represents * profile.benign.calls_per_day * profile.benign.busiest_hour / 3600
    assert round(calls) == 19_444
    assert profile.benign.sms_per_day == profile.benign.calls_per_day


@pytest.mark.parametrize("share", [0.1, 1.0])
def test_the_smallest_population_without_trades(share):
    nobody = dict.fromkeys(("courier", "takeaway", "property_agent", "bank", "hospital", "code_sender", "school"), 0)
    population = {"subscribers": 100, "represents": 100, "home_share": share, "trades": nobody}
    table = TABLE | {"population": population, "minutes": 120, "benign": {"greetings": 0.2}}
    classes = {draft.label.cls for draft in simulate(profile_of(table))}
    assert {"person", "greetings"} <= classes <= {"person", "greetings", "card"}


def test_a_simulation_checks_its_operations_first():
    table = TABLE | {"operations": {"one": {"pattern": "police", "numbers": -1}}}
    with pytest.raises(Exception, match=r"\$\.operations\.one\.numbers"):
        Simulation(profile_of(table))
