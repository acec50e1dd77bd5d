"""SMS bombing: somebody has the forms of many services send their codes to one number, to annoy or to hide one message.

Each message is harmless and each sender honest; only their number tells. So it is counted for the number that receives.
"""

from __future__ import annotations

from typing import Final

from detectors.contract import SMS, Batch, Detector
from detectors.model.decision import Evidence
from detectors.model.numbers import Canonical

#: Messages of services to one person within five to ten minutes, in one shard. A bombardment of 1,000 in twenty minutes
#: (Guangming Daily, 25 November 2021) brings that many through each of up to 64 shards.
FLOOD: Final = 8
CODE: Final = "SMS_FLOOD"
_VERSION: Final = "1"


class Received:
    """Messages by receiver in the last one to two spans of event time, in two generations of bounded size."""

    def __init__(self, span_ms: int = 300_000, max_receivers: int = 200_000) -> None:
        self._span, self._max = span_ms, max_receivers
        self._young: dict[Canonical, int] = {}
        self._old: dict[Canonical, int] = {}
        self._since = 0

    def add(self, receiver: Canonical, time: int) -> int:
        """Count a message. Returns how many there were."""
        if time < self._since - 2 * self._span:
            self._since = time  # it was set by a clock that is ahead
        if time - self._since >= self._span or len(self._young) >= self._max:
            kept = self._young if time - self._since < 2 * self._span else {}  # after a silence all is old
            self._young, self._old, self._since = {}, kept, max(time, self._since)
        count = self._young[receiver] = self._young.get(receiver, 0) + 1
        return count + self._old.get(receiver, 0)

    def of(self, receiver: Canonical) -> int:
        """How many there were."""
        return self._young.get(receiver, 0) + self._old.get(receiver, 0)


class Flood(Detector):
    """``SMS_FLOOD``: the services of the country all write to one person."""

    name = "flood"
    sees = SMS
    counts = True
    CODES = frozenset({CODE})

    def __init__(self, received: Received) -> None:
        self._received = received

    def inspect(self, batch: Batch) -> None:
        add, b, repeated = self._received.add, batch.b, batch.repeated
        for i, sms, _ in batch.sms:
            if sms.route != "port" or sms.segment != 1 or not (receiver := b[i]):
                continue
            try:
                count = self._received.of(receiver) if i in repeated else add(receiver, sms.time)
                if count >= FLOOD:
                    batch.add(i, Evidence(CODE, CODE, _VERSION, detail=f"received={count}"))
            except Exception as error:  # noqa: BLE001 - raised again where nobody guards
                batch.failed(i, error)
