"""List feeds: nothing that was altered is taken, and nothing that a signer can put into a file breaks us."""

import asyncio
import hashlib
import shutil
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.lists import file as snapshot_file
from stream.updates.feed_files import FeedRefused, read_list, sign
from stream.updates.feeds import Fetched, fetch, is_new
from stream.updates.keys import Author, make_key
from stream.updates.records import Content
from stream.updates.trust import FeedTrust

NOW = 1_795_000_000_000
ROWS = (
    "number,list,weight,reason\n13800001234,block,40,reported\n13800001235,grey,,\n170*,grey,,\n"
    "+4121560####,,,\nqq:12345,,,\n"
)
FILES = ("manifest.json", "manifest.json.sig", "list.csv")


@pytest.fixture(scope="module")
def feed(tmp_path_factory):
    """A folder with a good feed, and what the trust file says of it."""
    folder = tmp_path_factory.mktemp("feed")
    public = make_key(folder / "b.key")
    (folder / "list.csv").write_text(ROWS)
    author = Author.read("b", folder / "b.key")
    sign(folder / "list.csv", folder / "manifest.json", author, serial=5, kind="block", now_ms=NOW, report=print)
    return folder, FeedTrust(public, str(folder / "altered" / "manifest.json"))


def taken(folder, trust, altered):
    """What is fetched if a file of the feed holds other bytes."""
    work = folder / "altered"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    for name in FILES:
        (work / name).write_bytes(altered.get(name, (folder / name).read_bytes()))
    return asyncio.run(fetch("b", trust, last=None, etag=None, now_ms=NOW, folder=folder / "work"))


def test_as_it_is_it_is_taken(feed):
    assert taken(*feed, {}).entries == 5


@given(st.sampled_from(FILES), st.data())
@settings(max_examples=400)
def test_any_byte_that_is_altered_is_noticed(feed, name, data):
    good = (feed[0] / name).read_bytes()
    at = data.draw(st.integers(0, len(good) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != good[at]))
    with pytest.raises(FeedRefused) as error:
        taken(*feed, {name: good[:at] + bytes([byte]) + good[at + 1 :]})
    assert error.value.code == ("corrupt" if name == "list.csv" else "bad_signature")


@given(st.sampled_from(FILES), st.data())
@settings(max_examples=100)
def test_any_cut_or_addition_is_noticed(feed, name, data):
    good = (feed[0] / name).read_bytes()
    at = data.draw(st.integers(0, len(good) - 2))  # without its line feed a signature is the same
    other = data.draw(st.sampled_from([good[:at], good[:at] + b"0" + good[at:], good + b"0"]))
    with pytest.raises(FeedRefused) as error:
        taken(*feed, {name: other})
    assert error.value.code == ("corrupt" if name == "list.csv" else "bad_signature")


def tried(path):
    """What a file says, or the error: nothing else may be raised."""
    try:
        return read_list(path, "b", "block", shown="b", max_entries=1000)
    except FeedRefused as refused:
        return refused


@given(data=st.data())
@settings(max_examples=500)
def test_a_snapshot_made_by_hand_is_refused_or_holds_entries(tmp_path_factory, data):
    """The digests are right, whatever the arrays say: whoever signs can do that."""
    path = tmp_path_factory.getbasetemp() / "by_hand.lanjie"
    text = path.with_suffix(".csv")
    text.write_text(ROWS)
    good = b"".join(snapshot_file.write(read_list(text, "b", "block", shown="b").table))
    begins = len(snapshot_file.MAGIC) + 32
    body = bytearray(good[begins:])
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(snapshot_file.MAGIC + hashlib.sha256(body).digest() + body)
    found = tried(path)
    if isinstance(found, FeedRefused):
        assert found.code in ("unusable", "quota")
        return
    again = snapshot_file.read(b"".join(snapshot_file.write(found.table)), "again")
    for entry in found.table.entries():
        assert entry in list(again.entries())
        assert [match.provenance for match in again.matches(entry.last or entry.number)]


@given(st.binary(max_size=300), st.sampled_from(["list.csv", "list.csv.gz", "list.csv.zst", "list.json"]))
@settings(max_examples=300)
def test_random_bytes_are_refused_or_a_list(tmp_path_factory, content, name):
    path = Path(tmp_path_factory.getbasetemp() / name)
    path.write_bytes(content)
    found = tried(path)
    assert found.code in ("unusable", "quota") if isinstance(found, FeedRefused) else len(found.table)


thousandths = st.integers(0, 1000)


@given(st.integers(1, 3000), st.data(), thousandths, thousandths)
@settings(max_examples=1000)
def test_what_is_lost_and_won_is_counted_exactly(before, data, shrink, growth):
    """Near the bounds, against whole numbers."""
    edges = [before - before * shrink // 1000, before + before * growth // 1000]
    now = max(0, data.draw(st.sampled_from(edges)) + data.draw(st.integers(-2, 2)))
    trust = FeedTrust("", "", max_shrink=shrink / 1000, max_growth=growth / 1000)
    last = Content("0" * 64, 0, 1, 1, before, "1", NOW)
    expected = None
    if (before - now) * 1000 > before * shrink:
        expected = "shrunken"
    elif (now - before) * 1000 > before * growth:
        expected = "grown"
    try:
        assert is_new(Fetched(b"", now, 0, 2, NOW, ""), last, trust)
        found = None
    except FeedRefused as refused:
        found = refused.code
    assert found == expected


@given(st.integers(1, 5), st.integers(1, 5), st.booleans())
def test_a_serial_only_rises(before, after, same):
    content = b"the same" if same else b"other"
    last = Content(hashlib.sha256(b"the same").hexdigest(), 0, 1, 1, 10, str(before), NOW)
    fetched = Fetched(content, 10, 0, after, NOW, "")
    if after > before:
        assert is_new(fetched, last, FeedTrust("", ""))
    elif after == before and same:
        assert not is_new(fetched, last, FeedTrust("", ""))
    else:
        with pytest.raises(FeedRefused, match="expected more than"):
            is_new(fetched, last, FeedTrust("", ""))


@given(st.text(max_size=30))
def test_a_version_that_is_no_serial_is_older_than_any(version):
    last = msgspec.structs.replace(Content("0" * 64, 0, 1, 1, 10, "x", NOW), serial=version)
    if not (version.isascii() and version.isdigit()):
        assert is_new(Fetched(b"", 10, 0, 1, NOW, ""), last, FeedTrust("", ""))
