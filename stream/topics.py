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
    single: bool = False  #: one partition whatever the settings say: its order is what it is for


def _keep(days: int) -> dict[str, str]:
    return {"retention.ms": str(days * _DAY_MS)}


CALLS = Topic("telecom.calls.v1", "call", config=_keep(3))
SMS = Topic("telecom.sms.v1", "sms", config=_keep(3))
CARDS = Topic("telecom.cards.v1", "card", config=_keep(30))
DECISIONS = Topic("intercept.decisions.v1", "decision", config=_keep(30))
INPUTS = (CALLS, SMS, CARDS)

#: Tombstones stay for a week: a worker that was away for less, with its snapshot file, misses none.
_STAMPED = {"message.timestamp.type": "LogAppendTime"}  # "as of" goes by the broker's clock, not by an author's
_COMPACT = {
    **_STAMPED,
    "cleanup.policy": "compact",
    "delete.retention.ms": str(7 * _DAY_MS),
    "min.cleanable.dirty.ratio": "0.1",
    "segment.ms": str(_DAY_MS),
}
_FOR_EVER = {**_STAMPED, "retention.ms": "-1"}
LISTS = Topic("lists.numbers.v1", "list change", 1, _COMPACT, single=True)
RULES = Topic("rules.v1", "rule change", 1, _COMPACT, single=True)
#: What compaction drops from the two: every record ever written to them, hash-chained.
CHANGES = Topic("changes.v1", "change", 1, _FOR_EVER, single=True)
#: Tables and packs in parts, found by offset.
CONTENTS = Topic("contents.v1", "content", 1, _FOR_EVER, single=True)
#: What each worker has in force, the newest by worker.
WORKERS = Topic("intercept.workers.v1", "worker state", 1, _COMPACT, single=True)
#: What a person should look at: the brake.
ALERTS = Topic("intercept.alerts.v1", "alert", 1, _keep(30), single=True)
UPDATES = (LISTS, RULES, CHANGES, CONTENTS, WORKERS, ALERTS)


def dlq(topic: Topic) -> Topic:
    """Where the records of ``topic`` go that cannot be used."""
    return replace(
        topic,
        name=topic.name + ".dlq",
        kind="dead letter",
        config={**_keep(14), "max.message.bytes": str(_DLQ_MAX_BYTES)},
    )


ALL = (*INPUTS, DECISIONS, *UPDATES, *(dlq(topic) for topic in (*INPUTS, LISTS, RULES)))
_BY_KIND = {topic.kind: topic for topic in INPUTS}


def topic_for(event: Event) -> Topic:
    """The input topic of an event."""
    return _BY_KIND[KIND_OF[type(event)]]
