"""Signs that a message is one of many."""

from __future__ import annotations

from zlib import crc32

from msgspec import Struct

from detectors.campaign.index import Campaign, CampaignIndex
from detectors.campaign.sketch import SHORTEST, digest
from detectors.contract import Batch
from detectors.model.decision import Evidence
from detectors.model.events import SmsEvent
from detectors.model.numbers import Canonical

_VERSION = "1"
_NOTICE = "notice"  # class of the rules that exculpate: anti-fraud warnings are sent in bulk, and rightly


class _Count(Struct, gc=False):
    hits: int = 0
    seen: int = 0  #: a bit for each sender


class TextCounts:
    """How often each text was seen lately, letter by letter: two generations of bounded size.

    Args:
        span_ms: event time that a generation lasts.
        max_texts: bound of one generation.
    """

    def __init__(self, span_ms: int = 600_000, max_texts: int = 200_000) -> None:
        self._span, self._max = span_ms, max_texts
        self._young: dict[int, _Count] = {}
        self._old: dict[int, _Count] = {}
        self._since = 0

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def add(self, digested: int, sender: Canonical, time: int) -> tuple[int, int]:
        """Count a text. Returns its hits and its senders (a lower bound: 64 bits) in the last one to two spans."""
        if len(self._young) >= self._max or time - self._since >= self._span:
            self._young, self._old, self._since = {}, self._young, max(time, self._since)
        count = self._young.get(digested)
        if count is None:
            count = self._young[digested] = self._old.pop(digested) if digested in self._old else _Count()
        count.hits += 1
        count.seen |= 1 << crc32(sender.encode()) % 64
        return count.hits, count.seen.bit_count()


class Campaigns:
    """``CAMPAIGN_HIT``: the text is a near-duplicate of suspicious texts that were seen often.
    ``CAMPAIGN_BULK``: many ordinary numbers send the same text, letter by letter.

    Only what is suspicious or frequent is fingerprinted: 15 us a message would be most of what a message costs. Ports
    of enterprises (106..., 95...) send in bulk by nature and are left out.

    Args:
        hits: of a campaign (each halved every half-life) from which it is one.
        senders: different numbers that send the same text, from which that is a sign.
    """

    CODES = frozenset({"CAMPAIGN_HIT", "CAMPAIGN_BULK"})

    def __init__(self, index: CampaignIndex, counts: TextCounts, *, hits: float = 5.0, senders: int = 20) -> None:
        self._index, self._counts = index, counts
        self._hits, self._senders = hits, senders

    def inspect(self, batch: Batch) -> None:
        hits, a = batch.hits, batch.a
        for i, sms, normalised in batch.sms:
            if len(normalised) < SHORTEST or not a[i].startswith("+") or sms.route == "port":
                continue
            self._look(batch, i, sms, normalised, suspicious=i in hits and _is_suspicious(hits[i]))

    def _look(self, batch: Batch, i: int, sms: SmsEvent, normalised: str, *, suspicious: bool) -> None:
        digested = digest(normalised)
        count, senders = self._counts.add(digested, batch.a[i], sms.time)
        bulk = senders >= self._senders
        if suspicious:
            campaign: Campaign | None = self._index.add(normalised, batch.a[i], sms.time)
        else:
            campaign = self._index.known(digested)
        if campaign is not None and campaign.weight >= self._hits and campaign.senders > 1:
            detail = f"id={campaign.id} hits={campaign.hits} senders={campaign.senders}"
            batch.add(i, Evidence("CAMPAIGN_HIT", campaign.id, _VERSION, detail=detail))
        if bulk:
            detail = f"hits={count} senders>={senders}"
            batch.add(i, Evidence("CAMPAIGN_BULK", "CAMPAIGN_BULK", _VERSION, detail=detail))


def _is_suspicious(evidence: list[Evidence]) -> bool:
    return all(e.detail != _NOTICE and e.code != "LIST_ALLOW" for e in evidence)
