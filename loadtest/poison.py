"""Records that no decoder can take, one of each way to be wrong. A DLQ must have every one of them, with a reason."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from stream.topics import CALLS, CARDS, SMS, Topic

_TIME = 1_790_000_000_000


@dataclass(frozen=True)
class Poison:
    """A bad record."""

    id: str
    topic: Topic
    value: bytes | None


def poison() -> Iterator[Poison]:
    """25 bad records for the three input topics."""
    values = [*_not_json(), *_wrong_fields()]
    topics = (CALLS, SMS, CARDS)
    for n in range(25):
        yield Poison(f"poison-{n:02d}", topics[n % 3], values[n % len(values)])


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
    good = {"kind": "sms", "id": "poison", "time": _TIME, "a_number": "1", "b_number": "2", "text": "x"}
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
    return [json.dumps(good | change).encode() for change in changes]
