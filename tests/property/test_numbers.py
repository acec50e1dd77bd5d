import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.lists import Entry, ListKind, NumberIndex, file
from detectors.lists.build import Removal
from detectors.lists.entry import Provenance
from detectors.lists.index import Layer
from detectors.lists.protected import CORE
from detectors.lists.table import place
from detectors.model.errors import NumberListError
from detectors.model.numbers import mask
from detectors.normalise.key import key, keys
from detectors.normalise.phone import canonical, canonicals
from tests.support.events import T0, entries, mobiles, numbers, times, written


def covers(entry: Entry, number: str) -> bool:
    if entry.prefix:
        return number.startswith(entry.number)
    if entry.last:
        return len(number) == len(entry.number) and entry.number <= number <= entry.last
    return number == entry.number


def common_digits(first: str, last: str) -> int:
    return max(n for n in range(len(first) + 1) if first[:n] == last[:n]) - first.startswith("+")


def specific(entry: Entry) -> int:
    """Exact over prefix and range; of these the one that fixes more digits."""
    if entry.prefix:
        return len(entry.number.removeprefix("+"))
    return common_digits(entry.number, entry.last) if entry.last else 1000


def naive(all_entries: list[Entry], number: str, time: int):
    """Every entry looked at, strongest kept: list kind, then the more specific."""
    in_force = [e for e in all_entries if covers(e, number) and e.provenance.in_force(time)]
    return max(((e.provenance.kind, specific(e)) for e in in_force), default=None)


def same(found, expected, all_entries, number):
    """The entry found is one of the strongest of the naive model."""
    if found is None or expected is None:
        return found is None and expected is None
    named = (e for e in all_entries if e.provenance == found and covers(e, number))
    return any((e.provenance.kind, specific(e)) == expected for e in named)


looked_up = st.one_of(mobiles.map("+86".__add__), entries.map(lambda e: e.number), entries.map(lambda e: e.last))


def through_a_file(index: NumberIndex) -> NumberIndex:
    (layer,) = index.layers
    return NumberIndex(layers=[Layer(file.read(b"".join(file.write(layer.table)), "f"))])


@given(st.lists(entries, max_size=25), looked_up, times)
@settings(max_examples=500)
def test_index_equals_naive(all_entries, number, time):
    index = NumberIndex(all_entries)
    expected = naive(all_entries, number, time)
    assert same(index.find(number, time), expected, all_entries, number)
    assert same(through_a_file(index).find(number, time), expected, all_entries, number)
    assert len(index.explain(number)) == len({e for e in all_entries if covers(e, number)})


@given(st.lists(entries, max_size=25), st.lists(looked_up, max_size=12))
def test_touched_misses_no_number_that_an_entry_is_over(all_entries, asked):
    touched = NumberIndex(all_entries).touched(asked, keys(asked))
    assert touched == sorted(touched)
    covered = {i for i, number in enumerate(asked) if any(covers(e, number) for e in all_entries)}
    assert covered <= set(touched)
    assert all(asked[i] for i in touched)


@given(st.lists(entries, max_size=12), st.lists(entries, max_size=8), st.data(), times)
def test_a_delta_and_its_compaction_equal_a_rebuild(base, added, data, time):
    going = data.draw(st.lists(st.sampled_from(base), max_size=4)) if base else []
    removal = data.draw(st.sampled_from([Removal(), Removal(source="operator-a"), Removal(kind=ListKind.BLOCK)]))
    removed = {place(e): (removal,) for e in going}
    rebuilt = [e for e in base if not any(place(e) == place(g) and removal.takes(e.provenance) for g in going)] + added
    layered = NumberIndex(base).with_delta(added, removed)
    compacted = NumberIndex(layers=[Layer(layered.compacted())])
    assert compacted.version == NumberIndex(rebuilt).version
    assert compacted.sizes == NumberIndex(rebuilt).sizes
    for number in data.draw(st.lists(looked_up, min_size=1, max_size=8)):
        assert layered.find(number, time) == compacted.find(number, time) == NumberIndex(rebuilt).find(number, time)
        assert {m.provenance for m in layered.explain(number)} == {m.provenance for m in compacted.explain(number)}


@given(st.lists(entries, max_size=20))
def test_entries_come_back_as_they_were(all_entries):
    (layer,) = NumberIndex(all_entries).layers
    assert set(layer.table.entries()) == set(all_entries)


@given(st.lists(entries, min_size=1, max_size=5), st.data())
def test_a_damaged_file_is_refused(all_entries, data):
    (layer,) = NumberIndex(all_entries).layers
    whole = b"".join(file.write(layer.table))
    at = data.draw(st.integers(0, len(whole) - 1))
    for damaged in (whole[:at], whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :]):
        with pytest.raises(NumberListError, match=r"^numbers\.lanjie: .*lanjie lists build"):
            file.read(damaged, "numbers.lanjie")


def test_long_ports_and_keys_from_text_are_found():
    block = Provenance(ListKind.BLOCK, "s")
    port = "1069" + "0" * 16
    index = NumberIndex([Entry(port, block), Entry("domain:bad.example", block), Entry("1068", block, prefix=True)])
    asked = [port, "domain:bad.example", "106855551234567890123", port[:-1], "domain:good.example"]
    assert [index.find(number, T0) for number in asked] == [block, block, block, None, None]
    assert index.touched(asked, keys(asked)) == [0, 1, 2]


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


@given(st.lists(st.one_of(numbers, mobiles, st.text(max_size=15), st.just("1３800001234")), max_size=30))
def test_many_are_as_each(raws):
    each = [canonical(raw) for raw in raws]
    numbers_, keys_ = canonicals([*raws, *each])
    assert numbers_ == [*each, *each]
    assert keys_.tolist() == [key(number) for number in (*each, *each)]


@given(st.sampled_from(sorted(CORE)), st.sampled_from(["", "+86", "0086", "+86 ", "0086-"]))
def test_service_numbers_stay_themselves(code, prefix):
    assert canonical(prefix + code) == code


def test_area_code_before_emergency_is_the_emergency_number():
    raws = ("0731110", "+86731110", "010110", "+8610 110", "110", "１１０", "tel:110", "110#", "86110", "+86 0731-110")
    assert {canonical(raw) for raw in raws} == {"110"}
    assert {canonical(raw) for raw in ("073112345", "+86 731 12345", "12345", "010-12345")} == {"12345"}
    assert {canonical(raw) for raw in ("010 66108608", "+86 10 6610 8608", "0086 01066108608")} == {"+861066108608"}
    assert canonical("+8600 13800001234") == "+8613800001234"
    assert canonical("1066108608") == "1066108608"  # an SMS port is dialled without a trunk 0
    assert canonical("+8610690000123456") == canonical("10690000123456") == "10690000123456"
    assert canonical("0731 8888 0000") == "+8673188880000"  # a subscriber of that city stays one


@given(numbers)
def test_mask_hides_the_subscriber(raw):
    number = canonical(raw)
    hidden = mask(number)
    assert len(hidden) == len(number)
    assert set(hidden[6:-2] if len(number) > 8 else hidden[2:]) <= {"*"}


def test_expiry_is_by_event_time():
    index = NumberIndex([Entry("+8613800001234", Provenance(ListKind.BLOCK, "s", added=T0, expires=T0 + 10))])
    assert [index.find("+8613800001234", t) is not None for t in (T0 - 1, T0, T0 + 9, T0 + 10)] == [
        False,
        True,
        True,
        False,
    ]
