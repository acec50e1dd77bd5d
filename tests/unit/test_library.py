"""Blobs and bundles: the same bytes come back, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from detectors.model.errors import RuleError
from stream.settings import Settings
from stream.updates import contents
from stream.updates.library import KEPT, Library, bundle, unbundle
from stream.updates.records import Content


def content_of(data: bytes, parts: int = 1) -> Content:
    digest, _ = contents.pack(data)
    return Content(digest, 0, parts, len(data), 1, "1", 0)


@given(st.binary(max_size=5000))
def test_a_blob_comes_back(data: bytes):
    _, parts = contents.pack(data)
    assert contents.unpack(content_of(data), parts, "here") == data


def test_a_large_blob_goes_in_parts_below_the_brokers_limit():
    data = os.urandom(3_000_000)
    _, parts = contents.pack(data)
    assert len(parts) == 6
    assert max(map(len, parts)) == contents.PART_BYTES
    assert contents.unpack(content_of(data), parts, "here") == data


@given(st.binary(min_size=50, max_size=300), st.data())
def test_a_blob_with_any_byte_altered_is_refused(data: bytes, draw: st.DataObject):
    _, (part,) = contents.pack(data)
    at = draw.draw(st.integers(0, len(part) - 1))
    flipped = part[:at] + bytes([part[at] ^ (1 << draw.draw(st.integers(0, 7)))]) + part[at + 1 :]
    try:
        same = contents.unpack(content_of(data), [flipped], "here")
    except contents.ContentError as error:
        assert "here" in str(error)  # noqa: PT017 - either is right, damage to the frame header may be harmless
    else:
        assert same == data


def test_a_blob_that_claims_to_be_huge_is_refused_before_it_is_unpacked():
    data = bytes(1000)
    huge = msgspec.structs.replace(content_of(data), size=1 << 40)
    with pytest.raises(contents.ContentError, match="at most"):
        contents.unpack(huge, contents.pack(data)[1], "here")
    bomb = contents.pack(bytes(50_000_000))[1]
    with pytest.raises(contents.ContentError, match="damaged"):
        contents.unpack(content_of(data), bomb, "here")


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}(/[a-z]{1,8})?", fullmatch=True), st.text().map(str.encode)))
def test_a_bundle_comes_back(files: dict[str, bytes]):
    assume(not any(name.partition("/")[0] in files for name in files if "/" in name))
    assert unbundle(bundle(files)) == files
    assert bundle(dict(reversed(files.items()))) == bundle(files)


@pytest.mark.parametrize("name", ["../x", "a/../x", "/etc/x", "a/b/c", "", ".", "a/", "a\\b", "a\0b"])
def test_a_name_that_leads_out_of_its_folder_is_refused(name: str):
    with pytest.raises(RuleError, match="file name"):
        unbundle(bundle({name: b"x"}))


def test_a_name_is_a_file_or_a_folder():
    with pytest.raises(RuleError, match="a file and a folder"):
        unbundle(bundle({"a": b"", "a/b": b""}))


@pytest.mark.parametrize("data", [b"", b"[]", b'{"a":1}', b"\xff"])
def test_what_is_no_bundle_is_refused(data: bytes):
    with pytest.raises(RuleError, match="not an object"):
        unbundle(data)


def test_a_file_that_is_no_text_is_refused_by_its_name():
    with pytest.raises(RuleError, match=r"notes\.json: not UTF-8"):
        bundle({"policy.toml": b"", "notes.json": b"\xff"})


def test_files_that_nobody_names_go_after_an_hour(tmp_path: Path):
    folder = tmp_path / "contents"
    (folder / "b.pack").mkdir(parents=True)
    for name in ("a", "c", "d"):
        (folder / name).write_bytes(b"x")
    now = 1_000_000.0
    for path in folder.iterdir():
        os.utime(path, (now - KEPT - 1, now - KEPT - 1))
    os.utime(folder / "d", (now - KEPT + 1, now - KEPT + 1))
    Library(Settings(data_dir=tmp_path)).keep_only({"a"}, now)
    assert sorted(path.name for path in folder.iterdir()) == ["a", "d"]
