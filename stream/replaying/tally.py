"""What a replay has seen: counts, and a digest of all its decisions."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

from msgspec import Struct, field

from detectors.model.decision import Decision

#: Bytes that are hashed together, wherever the batches ended.
_PIECE: Final = 1 << 20


class Tally(Struct):
    """Counts of some shards.

    Attributes:
        actions: by ``kind/action``.
    """

    decided: int = 0
    late: int = 0
    duplicates: int = 0
    actions: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, decisions: Sequence[Decision]) -> None:
        """Count."""
        self.decided += len(decisions)
        for (kind, action), count in Counter([(decision.kind, decision.action) for decision in decisions]).items():
            self.actions[f"{kind}/{action}"] += count
        self.reasons.update([reason.code for each in decisions if each.reasons for reason in each.reasons])

    def join(self, other: Tally) -> None:
        """Take what another has counted."""
        self.decided += other.decided
        self.late += other.late
        self.duplicates += other.duplicates
        self.actions.update(other.actions)
        self.reasons.update(other.reasons)

    def by_kind(self) -> dict[str, dict[str, int]]:
        """kind -> action -> decisions."""
        found: dict[str, dict[str, int]] = {}
        for name, count in sorted(self.actions.items()):
            kind, _, action = name.partition("/")
            found.setdefault(kind, {})[action] = count
        return found


class Chained(Struct):
    """SHA-256 over a stream of bytes, which can be stored in the middle of it: each piece is hashed with the hash of
    what came before.
    """

    link: bytes = b""
    rest: bytes = b""

    def update(self, data: bytes) -> None:
        """Take more."""
        self.rest += data
        while len(self.rest) >= _PIECE:
            self.link = hashlib.sha256(self.link + self.rest[:_PIECE]).digest()
            self.rest = self.rest[_PIECE:]

    def digest(self) -> bytes:
        """Of all so far."""
        return hashlib.sha256(self.link + self.rest).digest()


def digest_of(shards: Iterable[tuple[int, bytes]]) -> str:
    """One digest (16 hex digits) from those of the shards that had events: equal if and only if all decisions are."""
    whole = hashlib.sha256()
    for shard, digest in sorted(shards):
        whole.update(shard.to_bytes(4) + digest)
    return whole.hexdigest()[:16]


def report(
    tally: Tally, rejected: Counter[str], *, digest: str, seconds: float, lists: str, rules: str
) -> dict[str, Any]:
    """For JSON."""
    by_action: Counter[str] = Counter()
    for name, count in tally.actions.items():
        by_action[name.partition("/")[2]] += count
    return {
        "events": tally.decided + rejected.total(),
        "decided": tally.decided,
        "rejected": rejected.total(),
        "rejected_by_code": dict(rejected),
        "late_events": tally.late,
        "duplicate_events": tally.duplicates,
        "by_action": dict(by_action),
        "by_kind": tally.by_kind(),
        "by_reason": dict(tally.reasons),
        "digest": digest,
        "seconds": round(seconds, 3),
        "events_per_second": round(tally.decided / seconds) if seconds else 0,
        "lists": lists,
        "rules": rules,
    }
