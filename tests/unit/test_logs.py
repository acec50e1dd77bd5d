"""Event logs: every packing, several members, odd line ends, and damage that is told instead of passed over."""

from __future__ import annotations

import gzip
import io
import sys
from types import SimpleNamespace

import pytest
import zstandard

from stream import logs
from stream.logs import LogError, LogReader

TEXT = b'{"a":1}\n{"b":2}\n\n{"c":"\xe4\xb8\xad"}'
LINES = [("1", b'{"a":1}'), ("2", b'{"b":2}'), ("4", b'{"c":"\xe4\xb8\xad"}')]
PACK = {"plain": bytes, "gzip": gzip.compress, "zstd": zstandard.ZstdCompressor().compress}


def read(*paths):
    return [(where.rsplit(":", 1)[1], raw) for where, raw in LogReader([str(path) for path in paths])]


@pytest.fixture(params=PACK)
def pack(request):
    return PACK[request.param]


def test_lines_with_their_numbers_whatever_the_packing(tmp_path, pack):
    path = tmp_path / "a.log"  # the name says nothing about the packing
    path.write_bytes(pack(TEXT))
    assert read(path) == LINES


def test_where_is_file_and_line(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(TEXT)
    assert [line.where for line in LogReader([str(path)])] == [f"{path}:{n}" for n in (1, 2, 4)]


def test_lines_longer_than_a_read(tmp_path, pack, monkeypatch):
    monkeypatch.setattr(logs, "CHUNK", 3)
    path = tmp_path / "a.jsonl"
    path.write_bytes(pack(TEXT))
    assert read(path) == LINES


@pytest.mark.parametrize("name", ["gzip", "zstd"])
@pytest.mark.parametrize("chunk", [1, 7, 1 << 18])
def test_several_members_in_one_file(tmp_path, name, chunk, monkeypatch):
    monkeypatch.setattr(logs, "CHUNK", chunk)
    path = tmp_path / "a"
    path.write_bytes(PACK[name](b"one\ntw") + PACK[name](b"o\n"))
    assert read(path) == [("1", b"one"), ("2", b"two")]


@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_a_cut_file_is_an_error_after_what_could_be_read(tmp_path, name):
    path = tmp_path / "a"
    path.write_bytes(PACK[name](bytes(range(256)) * 40 + b"\n" + TEXT)[:-3])
    with pytest.raises(LogError, match="damaged or cut short"):
        read(path)


def test_damage_is_an_error(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"\x1f\x8b" + b"no gzip at all")
    with pytest.raises(LogError, match=r"a: damaged"):
        read(path)


def test_windows_line_ends_and_byte_order_mark(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"\xef\xbb\xbfone\r\ntwo\r\n")
    assert read(path) == [("1", b"one"), ("2", b"two")]


def test_stdin(monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(gzip.compress(TEXT))))
    reader = LogReader(["-"])
    assert reader.total is None
    assert [line.where for line in reader] == ["<stdin>:1", "<stdin>:2", "<stdin>:4"]


def test_position_reaches_the_packed_size_of_all_logs(tmp_path, pack):
    paths = [tmp_path / "a", tmp_path / "b"]
    for path in paths:
        path.write_bytes(pack(TEXT))
    reader = LogReader([str(path) for path in paths])
    assert len(list(reader)) == 6
    assert reader.position == reader.total == 2 * len(pack(TEXT))


def test_empty_and_missing(tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    assert read(tmp_path / "empty") == []
    with pytest.raises(LogError, match="missing: No such file"):
        LogReader([str(tmp_path / "missing")])
    with pytest.raises(LogError, match="Is a directory"):
        read(tmp_path)


def test_a_file_without_line_ends_does_not_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(logs, "MAX_LINE", 1000)
    path = tmp_path / "a"
    path.write_bytes(b"x" * 5000)
    with pytest.raises(LogError, match="more than 1000 bytes"):
        read(path)
