"""Every topic, declared once."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from detectors.model.events import KIND_OF, Event

#: Equal for all input topics: calls, SMS and cards of one number then meet in one partition number, hence one worker.
PARTITIONS = 4
_DAY_MS = 86_400_000
#: The broker's default is 1 MiB; a dead letter is its original plus headers and must fit.
_DLQ_MAX_BYTES = 2 << 20


@dataclass(frozen=True)
class Topic:
    """A topic as we create it. ``kind`` is the event kind it carries, or ``decision`` / ``dead letter``."""

    name: str
    kind: str
    partitions: int = PARTITIONS
    config: dict[str, str] = field(default_factory=dict, hash=False)


def _keep(days: int) -> dict[str, str]:
    return {"retention.ms": str(days * _DAY_MS)}


CALLS = Topic("telecom.calls.v1", "call", config=_keep(3))
SMS = Topic("telecom.sms.v1", "sms", config=_keep(3))
CARDS = Topic("telecom.cards.v1", "card", config=_keep(30))
DECISIONS = Topic("intercept.decisions.v1", "decision", config=_keep(30))
INPUTS = (CALLS, SMS, CARDS)


def dlq(topic: Topic) -> Topic:
    """Where the records of ``topic`` go that cannot be used."""
    return replace(
        topic,
        name=topic.name + ".dlq",
        kind="dead letter",
        config={**_keep(14), "max.message.bytes": str(_DLQ_MAX_BYTES)},
    )


ALL = (*INPUTS, DECISIONS, *(dlq(topic) for topic in INPUTS))
_BY_KIND = {topic.kind: topic for topic in INPUTS}


def topic_for(event: Event) -> Topic:
    """The input topic of an event."""
    return _BY_KIND[KIND_OF[type(event)]]
