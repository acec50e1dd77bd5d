"""A simulated log as files: events, the truth about them in files of its own, and the number list at the start.

events.jsonl.zst     as on the topics, in the order of event time
truth.jsonl.zst      ``truth.EventTruth`` for each, in the same order
subjects.jsonl.zst   ``truth.SubjectTruth``: who acts for an operation, and who is hard benign
lists.csv            what the operator knew at the start
profile.json         the profile, its scale, what came of it; written last: without it the folder is not whole
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
import zstandard

from detectors.model.errors import LanjieError
from detectors.model.events import KIND_OF, CardEvent
from loadtest.sim.contract import Draft
from loadtest.sim.number_list import number_list
from loadtest.sim.profile import Profile
from loadtest.sim.simulate import MINUTE_MS, Simulation
from loadtest.sim.truth import ENCODE, EventTruth, SubjectTruth
from loadtest.truth import FRAUDULENT
from stream.whole_file import write_whole
from stream.wire import dump_json, encode_event

EVENTS, TRUTH, SUBJECTS, LISTS, PROFILE = (
    "events.jsonl.zst", "truth.jsonl.zst", "subjects.jsonl.zst", "lists.csv", "profile.json",
)  # fmt: skip
#: Events between two calls of ``progress``.
STEP: Final = 10_000


@dataclass
class Tally:
    """What was written.

    Attributes:
        subjects: number -> who acts for an operation under it.
        newly_sold: numbers of cards that are sold within the log: no list can have known them.
    """

    events: int = 0
    by_kind: Counter[str] = field(default_factory=Counter)
    by_class: Counter[str] = field(default_factory=Counter)
    by_operation: Counter[str] = field(default_factory=Counter)
    attempts: int = 0
    subjects: dict[str, SubjectTruth] = field(default_factory=dict)
    newly_sold: set[str] = field(default_factory=set)

    def count(self, draft: Draft) -> None:
        """One event."""
        event, label = draft.event, draft.label
        kind = KIND_OF[type(event)]
        self.events += 1
        self.by_kind[kind] += 1
        self.by_class[f"{label.label}/{label.cls}"] += 1
        self.attempts += kind == "call" and getattr(event, "phase", "") == "attempt"
        if not draft.operation:
            return
        self.by_operation[draft.operation] += 1
        # A service's number that is pretended or abused (10086, 106...) has no E.164 form, and is nobody's guilt.
        if label.label in FRAUDULENT and (number := event.a_e164):
            row = SubjectTruth(number, label.label, label.cls, event.time, draft.operation)
            self.subjects.setdefault(number, row)
            if isinstance(event, CardEvent) and event.phase == "sold":
                self.newly_sold.add(number)


def write(profile: Profile, folder: Path, progress: Callable[[int], None] | None = None) -> dict[str, Any]:
    """Simulate a profile into a folder; the same bytes for the same profile. Returns what ``profile.json`` says.

    Args:
        progress: told how many events there are so far, now and then.

    Raises:
        LanjieError: the profile cannot be simulated, or the folder cannot be written.
    """
    simulation = Simulation(profile)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / PROFILE).unlink(missing_ok=True)
        tally, sha256 = _write_events(simulation, folder, progress)
        subjects = _subjects(simulation, tally)
        packed = zstandard.ZstdCompressor().compress(b"".join(ENCODE(row) + b"\n" for row in subjects.values()))
        write_whole(folder / SUBJECTS, [packed])
        known = number_list(profile, simulation.world, sorted(tally.subjects.keys() - tally.newly_sold))
        write_whole(folder / LISTS, [known.encode()])
        report = _report(profile, tally, len(subjects), sha256)
        write_whole(folder / PROFILE, [dump_json(report)])
    except OSError as error:
        raise LanjieError(f"{error.filename or folder}: {error.strerror}; choose another folder") from None
    return report


def _write_events(simulation: Simulation, folder: Path, progress: Callable[[int], None] | None) -> tuple[Tally, str]:
    """The events and their truth; what they were, and the SHA-256 of the events' lines."""
    tally, digest = Tally(), hashlib.sha256()
    with ExitStack() as stack:
        events, truth = (
            stack.enter_context(
                zstandard.ZstdCompressor().stream_writer(stack.enter_context((folder / name).open("wb")))
            )
            for name in (EVENTS, TRUTH)
        )
        for draft in simulation.drafts():
            event, label = draft.event, draft.label
            line = encode_event(event) + b"\n"
            digest.update(line)
            events.write(line)
            row = EventTruth(event.id, label.label, label.cls, label.source, draft.operation, draft.victim)
            truth.write(ENCODE(row) + b"\n")
            tally.count(draft)
            if progress and tally.events % STEP == 0:
                progress(tally.events)
    return tally, digest.hexdigest()


def _subjects(simulation: Simulation, tally: Tally) -> dict[str, SubjectTruth]:
    """By number, sorted. Who acts for an operation is no hard benign one, whatever else the number does."""
    start = simulation.world.start
    honest = {
        number: SubjectTruth(number, label.label, label.cls, start)
        for number, label in simulation.hard_benign().items()
    }
    return dict(sorted((honest | tally.subjects).items()))


def _report(profile: Profile, tally: Tally, subjects: int, sha256: str) -> dict[str, Any]:
    seconds = profile.minutes * MINUTE_MS / 1000
    return {
        "profile": msgspec.to_builtins(profile),
        "scale": profile.scale,
        "events": tally.events,
        "by_kind": dict(tally.by_kind),
        "by_class": dict(tally.by_class),
        "by_operation": dict(tally.by_operation),
        "subjects": subjects,
        "full_scale_per_second": {
            "call_attempts": round(tally.attempts * profile.scale / seconds, 1),
            "sms": round(tally.by_kind["sms"] * profile.scale / seconds, 1),
        },
        "events_sha256": sha256,
    }
