"""What flows during a chaos run: seeded, of all kinds, such that what is counted about callers matters.

Ordinary people call and write; callers in bursts, dialers in sequence and one-ring callers make behaviour rules fire
after dozens of events; messages are taken from the rules' own proofs and come in campaigns; block-listed callers are on
the list file; some of each touch protected numbers; and one record in two hundred is none.
"""

from __future__ import annotations

import json
import random
from collections import deque
from pathlib import Path
from typing import Any, NamedTuple

from detectors.model.events import CallEvent, CardEvent, Event, SmsEvent
from stream.rule_files import read_pack
from stream.topics import CALLS, INPUTS, SMS, Topic, topic_for
from stream.wire import encode_event
from tests.benchmarks.events import phrases

#: Named here and not taken from the product, which is to be checked against it.
PROTECTED = ("110", "96110", "10086")
BLOCKED = tuple(f"1380000{n:04}" for n in range(60))
GREY = tuple(f"1380001{n:04}" for n in range(60))
CALLERS = 20_000
BURSTERS = 12  # at a time
BURST = 400  # events until the next one takes its place
MALFORMED = 0.005
#: The header of a record that is no event, so that the check needs no decoder to know.
MARK = ("chaos", b"malformed")


class Item(NamedTuple):
    """A record to publish."""

    topic: Topic
    key: bytes
    value: bytes | None
    headers: list[tuple[str, bytes]]


def write_lists(file: Path) -> None:
    """The list file that workers and the replay use."""
    rows = [f"{number},block,150,test,test" for number in BLOCKED] + [f"{number},grey,35,test,test" for number in GREY]
    file.write_text("\n".join(["number,list,weight,reason,source", *rows]) + "\n", encoding="utf-8")


def event_id(n: int) -> str:
    """Of event number n."""
    return f"e{n:08}"


def number_of(event_id: str) -> int:
    """The reverse."""
    return int(event_id[1:])


class Traffic:
    """An endless stream of records. Event n is the same for the same seed but for its time, which is the caller's."""

    def __init__(self, seed: int, *, callers: int = CALLERS) -> None:
        self._rng, self._callers = random.Random(seed), callers
        self._benign = phrases(400, seed=seed)
        self._fraud = [text for rule in read_pack(None).text for text in rule.positives]
        self._bursters = [self._new_burster() for _ in range(BURSTERS)]
        self._follow_ups: deque[tuple[str, str, dict[str, Any]]] = deque()

    def item(self, n: int, now: int) -> Item:
        """Record n, which happens now (ms UTC)."""
        rng = self._rng
        event = self.event(n, now - (rng.randrange(5_000) if rng.random() < 0.02 else rng.randrange(20)))
        if rng.random() < MALFORMED:
            topic, key = rng.choice(INPUTS), event.a_number.encode() or b"-"
            return Item(topic, key, self._malformed(topic, event), [MARK])
        return Item(topic_for(event), event.a_number.encode(), encode_event(event), [])

    def event(self, n: int, time: int) -> Event:
        """Event n, well formed."""
        rng, dice = self._rng, self._rng.random()
        common = {"id": event_id(n), "time": time}
        if self._follow_ups and dice < 0.3:
            a, b, more = self._follow_ups.popleft()
            return CallEvent(**common, a_number=a, b_number=b, **more)
        if dice < 0.45:
            return self._burst(common)
        if dice < 0.5:
            return CardEvent(
                **common,
                a_number=self._somebody(),
                phase=rng.choice(["sold", "activated", "roamed", "woke"]),
                identity_hash=f"i{rng.randrange(500)}",
                agent_id=f"a{rng.randrange(20)}",
            )
        a, b = self._pair()
        if dice < 0.78:
            self._answer(a, b)
            return CallEvent(**common, a_number=a, b_number=b, imei_hash=f"m{int(a) % 997}" if n % 3 else None)
        return SmsEvent(**common, a_number=a, b_number=b, text=self._text())

    def _somebody(self) -> str:
        rng = self._rng
        dice = rng.random()
        if dice < 0.03:
            return rng.choice(BLOCKED)
        if dice < 0.06:
            return rng.choice(GREY)
        return f"139{rng.randrange(self._callers):08}"

    def _pair(self) -> tuple[str, str]:
        a, b, dice = self._somebody(), f"137{self._rng.randrange(self._callers):08}", self._rng.random()
        if dice < 0.02:
            b = self._rng.choice(PROTECTED)
        elif dice < 0.03:
            a = self._rng.choice(PROTECTED)
        elif dice < 0.10:
            a, b = b, self._rng.choice(self._bursters)[0]  # calls back
        return a, b

    def _answer(self, a: str, b: str, *, ring: int | None = None, talk: int | None = None) -> None:
        """What follows an attempt, soon."""
        rng = self._rng
        ring = rng.randrange(2_000, 30_000) if ring is None else ring
        if rng.random() < 0.5:
            talk = rng.randrange(1_000, 600_000) if talk is None else talk
            self._follow_ups.append((a, b, {"phase": "answered", "ring_ms": ring}))
            self._follow_ups.append((a, b, {"phase": "ended", "ring_ms": ring, "talk_ms": talk, "release_cause": 16}))
        else:
            self._follow_ups.append((a, b, {"phase": "ended", "ring_ms": ring, "talk_ms": 0, "release_cause": 19}))

    # -- callers in bursts: number, manner, how many are left, where a sequence has come to

    def _new_burster(self) -> list[Any]:
        rng = self._rng
        number = f"136{rng.randrange(10**8):08}" if rng.random() < 0.8 else rng.choice((*BLOCKED, *GREY, *PROTECTED))
        manner = rng.choice(["fan-out", "sequence", "one-ring", "silent", "campaign"])
        return [number, manner, rng.randrange(BURST // 4, BURST), rng.randrange(10**7), self._text(fraud=1.0)]

    def _burst(self, common: dict[str, Any]) -> Event:
        rng, i = self._rng, self._rng.randrange(BURSTERS)
        burster = self._bursters[i]
        number, manner, left, at, text = burster
        burster[2:4] = left - 1, at + 1
        if left <= 0:
            self._bursters[i] = self._new_burster()
        b = rng.choice(PROTECTED) if rng.random() < 0.03 else f"135{rng.randrange(10**8):08}"
        if manner == "campaign":
            return SmsEvent(**common, a_number=number, b_number=b, text=f"{text} {rng.randrange(100)}")
        if manner == "sequence":
            b = f"135{at:08}"
        elif manner == "one-ring":
            self._answer(number, b, ring=1_000, talk=0)
        elif manner == "silent":
            self._answer(number, b, talk=rng.randrange(1_500))
        return CallEvent(**common, a_number=number, b_number=b)

    def _text(self, fraud: float = 0.15) -> str:
        rng = self._rng
        return rng.choice(self._fraud if rng.random() < fraud else self._benign)

    def _malformed(self, topic: Topic, event: Event) -> bytes | None:
        good, rng = encode_event(event), self._rng
        fields = json.loads(good)
        wrong = next(other for other in (CALLS, SMS) if other is not topic)
        fields["kind"] = topic.kind
        return rng.choice(
            (
                None,
                b"",
                good[: rng.randrange(1, len(good) - 1)],
                rng.randbytes(rng.randrange(1, 300)),
                json.dumps({**fields, "v": rng.randrange(2, 99)}).encode(),
                json.dumps({**fields, "kind": wrong.kind}).encode(),
                json.dumps({**fields, "msisdn": 1, "a_number": "1" * rng.randrange(33, 5_000)}).encode(),
                json.dumps(
                    {**fields, "msisdn": "1" * 40, "a_number": "1", "text": "x" * 40_000, "b_number": 7}
                ).encode(),
                json.dumps({**fields, "id": "x" * 65}).encode(),
                json.dumps({**fields, "time": -rng.randrange(10**12)}).encode(),
            )
        )
