"""A memory on disk: it comes back as it was, and nothing else ever comes of a file."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from detectors.engine import Engine
from detectors.model.events import CallEvent, CardEvent, SmsEvent
from stream import checkpoint, hashes
from stream.checkpoint import Checkpoint
from stream.hashes import FILE, SEED
from tests.support.trials import AUTOMATON, snapshot

T0 = 1_790_000_000_000
FITS = "group/600/1000000"


def events(start: int, count: int) -> list:
    """Of all kinds, so that every part of the memory holds something."""
    made = []
    for i in range(start, start + count):
        a, time = f"1380000{i % 7:04d}", T0 + 200 * i
        made.append(CallEvent(id=f"c{i}", time=time, a_number=a, b_number=f"139{i:08d}"))
        made.append(
            SmsEvent(id=f"s{i}", time=time, a_number=a, b_number=f"139{i:08d}", text=f"贷款秒批,加微信 loan{i % 3}")
        )
        made.append(CardEvent(id=f"k{i}", time=time, a_number=a, phase="woke"))
    return made


@pytest.fixture
def path(tmp_path):
    return tmp_path / "0.memory"


def test_who_goes_on_from_a_checkpoint_decides_as_if_nothing_had_been(path):
    first, second = Engine(snapshot(AUTOMATON)), Engine(snapshot(AUTOMATON))
    first.decide(events(0, 200))
    checkpoint.write(path, Checkpoint(first.memory(), {"calls": 200}, 600), FITS)
    kept = checkpoint.read(path, FITS)
    assert kept is not None
    assert (kept.decided, kept.end) == ({"calls": 200}, 600)
    second.remember(0, kept.memory)
    more = [*events(150, 100), *events(250, 100)]  # some of it came before
    found = second.decide(more)
    assert found == first.decide(more)
    assert any("CALL_BURST" in {reason.code for reason in decision.reasons} for decision in found)
    assert path.stat().st_mode & 0o077 == 0


def test_what_does_not_fit_is_not_used(path):
    checkpoint.write(path, Checkpoint(Engine(snapshot(AUTOMATON)).memory(), {}, 0), FITS)
    assert checkpoint.read(path, FITS)
    assert checkpoint.read(path, "group/1200/1000000") is None
    path.write_bytes(path.read_bytes()[:-1])
    assert checkpoint.read(path, FITS) is None
    assert checkpoint.read(path.with_name("none"), FITS) is None


@pytest.mark.parametrize("what", [os.system, subprocess.Popen, eval, pickle.Unpickler])
def test_nothing_but_a_memory_is_made_of_a_file(path, what, monkeypatch):
    """The digest fits: whoever made the file knew how."""

    class Harmful:
        def __reduce__(self):
            return what, ("exit 1",)

    checkpoint.write(path, Checkpoint(Harmful(), {}, 0), FITS)
    called = []
    monkeypatch.setattr(os, "system", called.append)
    assert checkpoint.read(path, FITS) is None
    assert not called


def test_a_file_that_holds_something_else_of_ours_is_no_memory(path):
    checkpoint.write(path, Checkpoint(Engine(snapshot(AUTOMATON)).memory().recent, {}, 0), FITS)
    assert checkpoint.read(path, FITS) is None


def test_processes_with_one_folder_have_the_same_hashes(tmp_path):
    code = "import pathlib, stream.hashes; stream.hashes.keep_hashes(pathlib.Path.cwd()); print(hash('x'))"
    env = {name: value for name, value in os.environ.items() if name != SEED}
    env["PYTHONPATH"] = str(Path(checkpoint.__file__).parents[1])
    command = [sys.executable, "-c", code]
    runs = [subprocess.Popen(command, env=env, cwd=tmp_path, stdout=subprocess.PIPE) for _ in range(3)]
    hashes = {run.communicate()[0] for run in runs}
    assert len(hashes) == 1
    assert hashes != {b""}
    assert (tmp_path / FILE).stat().st_mode & 0o077 == 0
    assert len(list(tmp_path.iterdir())) == 1


def test_containers_that_share_a_folder_and_a_process_id_keep_out_of_each_other_s_way(tmp_path, monkeypatch):
    link, seeds = os.link, []

    def other_first(*arguments):
        monkeypatch.setattr(os, "link", link)
        seeds.append(hashes._seed(tmp_path))
        link(*arguments)

    monkeypatch.setattr(os, "link", other_first)
    seeds.append(hashes._seed(tmp_path))
    assert seeds == [(tmp_path / FILE).read_text()] * 2
    assert len(list(tmp_path.iterdir())) == 1
