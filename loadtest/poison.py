"""Records that no decoder can take, one of each way to be wrong. A DLQ must have every one of them, with a reason."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass

from stream.topics import CALLS, CARDS, SMS, Topic

_TIME = 1_790_000_000_000
_GOOD = {"kind": "sms", "id": "poison", "time": _TIME, "a_number": "1", "b_number": "2", "text": "x"}
GOOD = json.dumps(_GOOD).encode()


@dataclass(frozen=True)
class Poison:
    """A bad record."""

    id: str
    topic: Topic
    value: bytes | None


def poison() -> Iterator[Poison]:
    """25 bad records for the three input topics, with the ids by which they are found again."""
    topics = itertools.cycle((CALLS, SMS, CARDS))
    wrong = _wrong_fields()
    bad = [(next(topics), value) for value in _not_json()] + [(SMS, value) for value in wrong]
    bad += [(CALLS, GOOD), (CARDS, GOOD), *((CALLS, value) for value in wrong[:4])]  # an SMS on the wrong topic
    for n, (topic, value) in enumerate(bad):
        yield Poison(f"poison-{n:02d}", topic, value)


def _not_json() -> list[bytes | None]:
    return [
        None,  # a tombstone
        b"",
        b"\x00\x01\x02\xff\xfe",
        b'{"kind":"sms","id":"cut","time":17',
        b"[1,2,3]",
        b"[" * 5000,
        b'{"kind":"sms","id":"\xff\xfe"}',
    ]


def _wrong_fields() -> list[bytes]:
    changes: list[dict[str, object]] = [
        {"kind": "fax"},
        {"v": 2},
        {"time": _TIME // 1000},
        {"time": "now"},
        {"text": None},
        {"text": "x" * 1_000_000},
        {"text": "nul \0"},
        {"id": ""},
        {"id": 17},
        {"a_e164": "0086138"},
        {"segment": 0},
        {"a_number": "1" * 33},
    ]
    return [json.dumps(_GOOD | change).encode() for change in changes]
