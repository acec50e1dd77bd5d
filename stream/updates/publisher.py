"""The one way to change lists and rules: read what is in force, decide, write; all of it or nothing, one at a time.

1. **Fence.** The producer takes the transactional id that all changes share: whoever was in the middle of a change is
   thrown out (its transaction is aborted) and tries again from 1.
2. **Read** both compacted topics to their end, and the head of the hash chain.
3. **Plan.** The caller says which records to write, given the state.
4. **Write** them, their copies on ``changes.v1`` with the next links of the chain, and the parts of what is large,
   in one transaction. Readers see all of it or none (``read_committed``).

A crash between any two steps leaves nothing behind that a reader sees; a transaction left open is aborted by the next
change, or by the broker after ``writer.TRANSACTION_TIMEOUT_MS``.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple, Protocol

import msgspec
from aiokafka.errors import InvalidProducerEpoch, KafkaError, OutOfOrderSequenceNumber, ProducerFenced
from aiokafka.structs import ConsumerRecord as Record

from detectors.model.errors import LanjieError
from stream import refused
from stream.clock import Clock
from stream.settings import Settings
from stream.topics import CHANGES, LISTS, RULES, UPDATES
from stream.topics_admin import ensure_topics
from stream.updates import chain
from stream.updates.asof import heal
from stream.updates.keys import Author
from stream.updates.proposals import Proposal, proposed
from stream.updates.records import (
    BRAKE,
    CHANGE,
    Change,
    Content,
    RecordError,
    Value,
    Written,
    check_key,
    decode,
    decode_change,
    encode,
    signed_bytes,
)
from stream.updates.state import State
from stream.updates.tail import Tail
from stream.updates.trust import Trust, is_emergency, is_look
from stream.updates.writer import Writer, fenced

log = logging.getLogger(__name__)

ATTEMPTS: Final = 12
#: A proposal is one record, and the broker's limit for one is 1 MiB.
MAX_PROPOSAL_BYTES: Final = 900 << 10
#: Somebody else's change came in between.
_COME_BETWEEN: Final = (ProducerFenced, InvalidProducerEpoch, OutOfOrderSequenceNumber)
_BACKOFF: Final = 0.05  # seconds, doubled each time up to a second, and spread


class ChangeError(LanjieError):
    """A change was refused or could not be written; nothing has changed."""


class Put(NamedTuple):
    """A record to write. ``value`` None takes the key back."""

    topic: str
    key: str
    value: Value | None


class Receipt(NamedTuple):
    """What became of a change. ``serial`` 0: there was nothing to do. ``pending``: it waits for another's signature."""

    serial: int
    time: int  #: ms UTC
    pending: bool = False


class Store(Protocol):
    """Where a plan puts what is large."""

    async def put(self, data: bytes, *, count: int, serial: str, made: int) -> Content:
        """Upload a blob in the transaction of the change."""


Plan = Callable[[State, Store], Awaitable[Sequence[Put]]]


async def make_change(
    settings: Settings, author: Author, *, action: str, target: str, reason: str, plan: Plan, clock: Clock
) -> Receipt:
    """Change lists or rules.

    Args:
        plan: given the state and where to put blobs, the records to write; none: nothing is to be done. Called again
            with a fresh state if another change comes in between.

    Raises:
        ChangeError: the trust file wants another author or key, or others change things all the time.
        TopicsError, TailError: Kafka cannot be reached or read.
    """
    trust = Trust.read(settings.trust) if settings.trust else None

    async def work(writer: Writer) -> Receipt:
        puts = await plan(writer.state, writer)
        unsigned = author.name == BRAKE or all(is_look(put.topic, put.key) for put in puts)
        if trust and not unsigned:
            trust.may_sign(author)
        time = max([clock.wall_ms(), *(writer.state.changed(put.key) + 1 for put in puts)])
        if not puts:
            return Receipt(0, time)
        change = Change(writer.serial + 1, author.name, action, target, reason, time, len(puts))
        records = [_signed(author, _record(put, change)) for put in puts]
        alone = unsigned or all(is_emergency(r.topic, r.key, r.value) for r in records)
        if trust and trust.approvals > 1 and not alone:
            proposal = proposed(records, change.serial)
            if len(proposal.value or b"") > MAX_PROPOSAL_BYTES:
                found = f"{len(records):,} records are too much to be approved as one"
                raise ChangeError(f"{found}; make several changes, or import them as a feed")
            await writer.append([proposal])
            return Receipt(change.serial, time, pending=True)
        await writer.write(records)
        return Receipt(change.serial, time)

    return await _exclusively(settings, work)


async def approve(settings: Settings, author: Author, serial: int, *, reject: bool = False) -> Receipt:
    """Sign what somebody else proposed; with the last signature that is needed it is in force.

    Raises:
        ChangeError: there is no such proposal, it is one's own, or what it would change has changed since.
    """
    trust = Trust.read(settings.trust) if settings.trust else None
    if trust is None:
        raise ChangeError("LANJIE_TRUST is not set: nothing waits for approval")
    trust.may_sign(author)

    async def work(writer: Writer) -> Receipt:
        proposal = Proposal.find(await chain.read_all(settings.kafka, writer.name(CHANGES.name)), serial)
        if proposal is None:
            raise ChangeError(f"{serial}: no proposal waits under this number; see `lanjie changes pending`")
        time = proposal.records[0].change.time
        if reject:
            await writer.append([proposal.settled(author.name, writer.serial + 1, "rejected")])
            return Receipt(writer.serial + 1, time)
        if author.name in proposal.signers:
            raise ChangeError(f"{serial}: {author.name} has signed it already; another person must")
        if any(writer.state.changed(record.key) >= time for record in proposal.records):
            raise ChangeError(f"{serial}: what it changes was changed since it was proposed; propose it again")
        signed = [_signed(author, record) for record in proposal.records]
        signers = frozenset.intersection(*(trust.signers(record) for record in signed))
        if signed[0].change.author not in signers:
            raise ChangeError(
                f"{serial}: the signature of {signed[0].change.author}, who is said to propose it, does not fit"
            )
        if len(signers) < trust.approvals:
            await writer.append([proposed(signed, writer.serial + 1)])
            return Receipt(serial, time, pending=True)
        settled = proposal.settled(author.name, writer.serial + 1, "approved")
        await writer.append([settled])
        await writer.write([msgspec.structs.replace(r, change=_numbered(r.change, writer.serial + 1)) for r in signed])
        return Receipt(writer.serial + 1, time)

    return await _exclusively(settings, work)


async def read_state(settings: Settings) -> State:
    """Lists and rules as they are now. Records that cannot be used are left out, as a worker does.

    Raises:
        TopicsError, TailError: Kafka cannot be reached or read.
    """
    await ensure_topics(settings.kafka, _topics(settings), replication=settings.replication)
    return await _state(settings)


async def _state(settings: Settings) -> State:
    trust = Trust.read(settings.trust) if settings.trust else None
    verify = trust.verify if trust else None
    state, refused = State(verify), set()
    async with Tail(settings.kafka, {settings.topic_prefix + t.name: 0 for t in (LISTS, RULES)}) as tail:
        for record in await tail.to_end():
            try:
                state.apply(read(record, settings.topic_prefix))
            except RecordError as error:
                refused.add((record.key or b"").decode("utf-8", "replace"))
                log.warning("%s offset %d: %s", record.topic, record.offset, error)
    await heal(settings, state, refused, verify)
    return state


def read(record: Record, prefix: str) -> Written:
    """A record of one of the two topics.

    Raises:
        RecordError: its header or key cannot be used.
    """
    change = decode_change(dict(record.headers).get(CHANGE))
    try:
        key = (record.key or b"").decode()
    except UnicodeDecodeError:
        raise RecordError("malformed", "key: not UTF-8") from None
    return Written(record.topic.removeprefix(prefix), key, record.value, change)


async def _exclusively(settings: Settings, work: Callable[[Writer], Awaitable[Receipt]]) -> Receipt:
    await ensure_topics(settings.kafka, _topics(settings), replication=settings.replication)
    topic = settings.topic_prefix + CHANGES.name
    made: tuple[str, Receipt] | None = None
    for attempt in range(ATTEMPTS):
        try:
            async with fenced(settings) as producer:
                head = await chain.head(settings.kafka, topic)
                if made and await chain.has(settings.kafka, topic, made[0]):
                    return made[1]  # the commit to which we got no answer was made
                writer = Writer(producer, settings, await _state(settings), head)
                async with producer.transaction():
                    try:
                        receipt = await work(writer)
                    finally:
                        await writer.settle()
                    made = writer.link, receipt
                await writer.until_readable()
                return receipt
        except KafkaError as error:
            if made is None and not isinstance(error, _COME_BETWEEN):
                reason = await refused.explain(settings.kafka, error, "change lists and rules")
                raise ChangeError(f"{reason}; nothing has changed") from None
        # Spread, or all would come back at the same moment. This decides nothing: no seed is needed.
        await asyncio.sleep(min(1.0, _BACKOFF * 2**attempt) * random.uniform(0.5, 1.5))  # noqa: S311  # nosec B311
    if made:
        raise ChangeError(
            "Kafka does not answer whether the change was made: see `lanjie changes log` before trying again"
        )
    raise ChangeError(f"others made a change each of the {ATTEMPTS} times we tried: try again")


def _topics(settings: Settings) -> list[Any]:
    return [settings.named(topic) for topic in UPDATES]


def _record(put: Put, change: Change) -> Written:
    """As it will be written. What readers would refuse is not.

    Raises:
        RecordError: they would.
    """
    check_key(put.key)
    value = None if put.value is None else encode(put.value)
    if value is not None and decode(put.key, value) != put.value:  # NaN becomes null
        raise RecordError("invalid_field", f"{put.key.partition('/')[0]}: holds what JSON has not, such as NaN")
    return Written(put.topic, put.key, value, change)


def _signed(author: Author, record: Written) -> Written:
    """With the author's signature beside those that are there; as it is for an author without a key."""
    if author.public is None:
        return record
    said = signed_bytes(record.topic, record.key, record.value, record.change)
    signatures = {**record.change.signatures, author.name: author.sign(said)}
    return msgspec.structs.replace(record, change=msgspec.structs.replace(record.change, signatures=signatures))


def _numbered(change: Change, serial: int) -> Change:
    return msgspec.structs.replace(change, serial=serial)
