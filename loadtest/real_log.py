"""The demo's log from published data in ``../shared/data`` (or ``LANJIE_DATA``): real texts, real who-called-whom-when.

The data carries no ids, numbers or, for most texts, times. These are made up by rule, from a hash of the row, so that
every build gives the same log:

    time        Copenhagen second 0 is 2026-03-02T00:00:00Z. A text without an edge: hash, uniform over the 14 days.
    people      Copenhagen id n is +861990000nnnn (n < 10,000).
    personal    ham of the spam, UCI and NUS sets, in the order of the hash, goes along Copenhagen SMS edges,
                in the order of time, until they are used up.
    senders     every other text comes from one of 20,000 numbers +86199001ddddd, by hash, and goes to one of the
                Copenhagen people. Label and source do not enter, so a number gives nothing away.
    mask tokens of the masked sets (URL PHONE ...) become what ``loadtest.unmask`` says.
    calls       a Copenhagen call is an attempt, then (if it was answered) answered and ended.
    ids         <set>-<row>, cph-call-<row>-<phase>.
"""

from __future__ import annotations

import csv
import json
import lzma
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from detectors.model.events import CallEvent, Event, SmsEvent
from loadtest import scenario
from loadtest.public_lists import public_lists
from loadtest.truth import DAY_MS, Label, LabelledLog, digest, in_order
from loadtest.unmask import unmask

T0: Final = 1_772_409_600_000  # 2026-03-02T00:00:00Z, a Monday
DAYS: Final = 14
SENDERS: Final = 20_000
PEOPLE: Final = 847
COPENHAGEN: Final = "copenhagen"
#: file stem -> short name (for ids), whether its upstream masked the texts, whether its ham is personal
SETS: Final = {
    "fake_base_station_zh": ("fbs", True, False),
    "telecom_fraud_scripts_zh": ("scripts", True, False),
    "spam_ham_zh": ("spamham", False, True),
    "uci_en": ("uci", False, True),
    "nus_ham_en": ("nus", False, True),
}
Texts = list[tuple[str, str, Label, bool]]  # id, text, label, personal


def data_folder(environ: Mapping[str, str] | None = None) -> Path | None:
    """Where the data is: ``LANJIE_DATA``, or ``shared/data`` beside the checkout. None if it is not there."""
    given = (os.environ if environ is None else environ).get("LANJIE_DATA")
    folder = Path(given) if given else Path(__file__).resolve().parents[2] / "shared" / "data"
    return folder if (folder / "sms").is_dir() and (folder / "call_logs").is_dir() else None


def build(data: Path) -> LabelledLog:
    """The log from the data in ``data``."""
    labelled = [*_sms(data), *_calls(data), *scenario.scenario(T0 + 9 * 3_600_000)]
    return LabelledLog(
        name=f"real log from {data}",
        events=in_order(event for event, _ in labelled),
        labels={event.id: label for event, label in labelled},
        lists=scenario.lists("2026-03-01T00:00:00Z", "2027-03-01T00:00:00Z") + public_lists(data / "number_lists"),
    )


def person(number: int) -> str:
    """A Copenhagen participant's number."""
    return f"+8619900{number * 7_919 % 10**6:06d}"  # apart: numbers in a row would be neighbours


def _sms(data: Path) -> Iterator[tuple[Event, Label]]:
    texts = _texts(data / "sms")
    personal = sorted((row for row in texts if row[3]), key=lambda row: digest(row[0]))
    with (data / "call_logs" / "copenhagen_sms.csv").open(encoding="ascii", newline="") as file:
        edges = sorted((int(e["timestamp"]), int(e["from"]), int(e["to"])) for e in csv.DictReader(file))
    placed = set()
    for (second, a, b), (key, text, label, _) in zip(edges, personal, strict=False):
        placed.add(key)
        yield _event(key, T0 + second * 1000, person(a), person(b), text), label
    for key, text, label, _ in texts:
        if key not in placed:
            h = digest(key)
            sender = f"+86199001{h % SENDERS:05d}"
            time = T0 + (h // SENDERS) % (DAYS * DAY_MS)
            yield _event(key, time, sender, person(h % PEOPLE), text), label


def _event(key: str, time: int, a: str, b: str, text: str) -> SmsEvent:
    return SmsEvent(id=key, time=time, a_number=a, b_number=b, text=text, encoding="gsm7" if text.isascii() else "ucs2")


def _texts(folder: Path) -> Texts:
    rows: Texts = []
    for stem, (short, masked, personal) in SETS.items():
        path = folder / f"{stem}.jsonl.xz"
        if not path.exists():
            continue
        with lzma.open(path, "rt", encoding="utf-8") as lines:
            for n, line in enumerate(lines):
                row = json.loads(line)
                key, text = f"{short}-{n:05d}", row["text"].replace("\0", "")
                label = Label(row["label"], row["class"], stem)
                rows.append((key, unmask(text, key) if masked else text, label, personal and row["label"] == "ham"))
    return rows


def _calls(data: Path) -> Iterator[tuple[Event, Label]]:
    label = Label("ham", "call", COPENHAGEN)
    with (data / "call_logs" / "copenhagen_calls.csv").open(encoding="ascii", newline="") as file:
        for n, row in enumerate(csv.DictReader(file)):
            for event in _call(f"cph-call-{n:04d}", T0 + int(row["timestamp"]) * 1000, row):
                yield event, label


def _call(key: str, time: int, row: Mapping[str, str]) -> Iterator[CallEvent]:
    a, b, seconds = person(int(row["from"])), person(int(row["to"])), int(row["duration"])
    ring = 2_000 + digest(key) % 10_000
    yield CallEvent(id=f"{key}-attempt", time=time, a_number=a, b_number=b)
    if seconds >= 0:
        yield CallEvent(id=f"{key}-answered", time=time + ring, a_number=a, b_number=b, phase="answered", ring_ms=ring)
        yield CallEvent(
            id=f"{key}-ended",
            time=time + ring + seconds * 1000,
            a_number=a,
            b_number=b,
            phase="ended",
            talk_ms=seconds * 1000,
            release_cause=16,  # Q.850: normal call clearing
        )
