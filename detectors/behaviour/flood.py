"""SMS bombing: somebody has the forms of many services send their codes to one number, to annoy or to hide one message.

Each message is harmless and each sender honest; only their number tells. So it is counted for the number that receives.
"""

from __future__ import annotations

from typing import Final, NamedTuple
from zlib import crc32

from detectors.contract import SMS, Batch, Detector
from detectors.model.decision import Evidence
from detectors.model.numbers import Canonical
from detectors.spans import Spans

#: Messages to one person within five to ten minutes in one shard, and services that they are of (a bank tells of each
#: payment, a shop and a courier of each step). A bombardment of 1,000 in twenty minutes (Guangming Daily, 25 November
#: 2021), by some sixty services, brings that many through each of up to 16 shards.
MESSAGES: Final = 8
SERVICES: Final = 4
CODE: Final = "SMS_FLOOD"
_VERSION: Final = "1"
_BITS: Final = 64


class Flow(NamedTuple):
    """What one received of late: messages, and a bit for each sender."""

    messages: int = 0
    senders: int = 0

    @property
    def services(self) -> int:
        """Different senders, at least."""
        return self.senders.bit_count()


_NOTHING: Final = Flow()


class Received(Spans[Canonical, Flow]):
    """Messages of services by receiver."""

    def __init__(self, span_ms: int = 300_000, max_receivers: int = 200_000) -> None:
        super().__init__(span_ms, max_receivers)

    def add(self, receiver: Canonical, sender: Canonical, time: int) -> Flow:
        """Count a message. Returns what came of late."""
        self._turn(time)
        messages, senders = self._young.get(receiver, _NOTHING)
        self._young[receiver] = Flow(messages + 1, senders | 1 << crc32(sender.encode()) % _BITS)
        return self.of(receiver)

    def of(self, receiver: Canonical) -> Flow:
        """What came of late."""
        young, old = self._young.get(receiver, _NOTHING), self._old.get(receiver)
        return young if old is None else Flow(young.messages + old.messages, young.senders | old.senders)


class Flood(Detector):
    """``SMS_FLOOD``: many services write to one person at once."""

    name = "flood"
    sees = SMS
    counts = True
    CODES = frozenset({CODE})

    def __init__(self, received: Received) -> None:
        self._received = received

    def seen(self, batch: Batch) -> list[int]:
        """What services send to a person. What people answer them is also of their route."""
        b = batch.b
        return [i for i, sms, _ in batch.sms if sms.route == "port" and sms.segment == 1 and b[i][:1] == "+"]

    def inspect(self, batch: Batch) -> None:
        received, a, b, repeated = self._received, batch.a, batch.b, batch.repeated
        for i in self.seen(batch):
            try:
                flow = received.of(b[i]) if i in repeated else received.add(b[i], a[i], batch.events[i].time)
                if flow.messages >= MESSAGES and flow.services >= SERVICES:
                    detail = f"messages={flow.messages} services={flow.services}"
                    batch.add(i, Evidence(CODE, CODE, _VERSION, detail=detail))
            except Exception as error:  # noqa: BLE001 - raised again where nobody guards
                batch.failed(i, error)
