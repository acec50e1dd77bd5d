import phonenumbers
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.lists import Entry, ListKind, NumberIndex
from detectors.lists.entry import Provenance
from detectors.lists.protected import CORE
from detectors.model.numbers import mask
from detectors.normalise.phone import canonical
from tests.support.events import T0, entries, mobiles, numbers, times, written


def naive(all_entries: list[Entry], number: str, time: int):
    """Every entry looked at, strongest kept: list kind, then exact over prefix, then the longer prefix."""
    covering = [
        e
        for e in all_entries
        if (number.startswith(e.number) if e.prefix else number == e.number)
        and e.provenance.added <= time
        and (e.provenance.expires is None or time < e.provenance.expires)
    ]
    return max(((e.provenance.kind, not e.prefix, len(e.number)) for e in covering), default=None)


@given(st.lists(entries, max_size=25), st.one_of(mobiles.map("+86".__add__), entries.map(lambda e: e.number)), times)
@settings(max_examples=500)
def test_index_equals_naive(all_entries, number, time):
    found = NumberIndex(all_entries).find(number, time)
    expected = naive(all_entries, number, time)
    assert (found and found.kind) == (expected and expected[0])
    if found is not None:  # the entry named really is one of the strongest
        assert any(
            e.provenance == found and (e.provenance.kind, not e.prefix, len(e.number)) == expected for e in all_entries
        )


@given(st.lists(entries, max_size=10), st.randoms(use_true_random=False))
def test_version_depends_on_content_not_order(all_entries, rng):
    shuffled = list(all_entries)
    rng.shuffle(shuffled)
    assert NumberIndex(shuffled).version == NumberIndex(all_entries).version


@given(written, mobiles)
def test_every_way_to_write_a_mobile_is_one_number(prefix, mobile):
    reference = phonenumbers.format_number(phonenumbers.parse(mobile, "CN"), phonenumbers.PhoneNumberFormat.E164)
    if prefix != "0":
        assert canonical(prefix + mobile) == reference


@given(numbers)
@settings(max_examples=500)
def test_canonical_is_idempotent_and_total(raw):
    once = canonical(raw)
    assert once == "" or once.removeprefix("+").isascii()
    assert canonical(once) == once


@given(st.sampled_from(sorted(CORE)), st.sampled_from(["", "+86", "0086", "+86 ", "0086-"]))
def test_service_numbers_stay_themselves(code, prefix):
    assert canonical(prefix + code) == code


def test_area_code_before_emergency_is_the_emergency_number():
    raws = ("0731110", "+86731110", "010110", "+8610 110", "110", "１１０", "tel:110", "110#", "86110", "+86 0731-110")
    assert {canonical(raw) for raw in raws} == {"110"}
    assert {canonical(raw) for raw in ("073112345", "+86 731 12345", "12345", "010-12345")} == {"12345"}
    assert canonical("0731 8888 0000") == "+8673188880000"  # a subscriber of that city stays one


@given(numbers)
def test_mask_hides_the_subscriber(raw):
    number = canonical(raw)
    hidden = mask(number)
    assert len(hidden) == len(number)
    assert number[6:-2] == "" or number[6:-2] not in hidden or len(number) <= 8


def test_expiry_is_by_event_time():
    index = NumberIndex([Entry("+8613800001234", Provenance(ListKind.BLOCK, "s", added=T0, expires=T0 + 10))])
    assert [index.find("+8613800001234", t) is not None for t in (T0 - 1, T0, T0 + 9, T0 + 10)] == [
        False,
        True,
        True,
        False,
    ]
