"""Signs that a message is one of many."""

from __future__ import annotations

from zlib import crc32

from msgspec import Struct

from detectors.campaign.index import Campaign, CampaignIndex
from detectors.campaign.sketch import SHORTEST
from detectors.contract import SMS, Batch, Detector
from detectors.model.decision import Evidence
from detectors.model.numbers import Canonical
from detectors.spans import Spans

_VERSION = "1"
_NOTICE = "notice"  # class of the rules that exculpate: anti-fraud warnings are sent in bulk, and rightly


class _Count(Struct, gc=False):
    hits: int = 0
    seen: int = 0  #: a bit for each sender


class TextCounts(Spans[int, "_Count | Canonical"]):
    """How often each text was seen lately, letter by letter: two generations of bounded size.

    Args:
        span_ms: event time that a generation lasts.
        max_texts: bound of one generation.
    """

    def __init__(self, span_ms: int = 600_000, max_texts: int = 200_000) -> None:
        super().__init__(span_ms, max_texts)  # of a text that was seen once, only its sender

    def add(self, hashed: int, sender: Canonical, time: int) -> tuple[int, int]:
        """Count a text. Returns its hits and its senders (a lower bound: 64 bits) in the last one to two spans.

        Args:
            hashed: of the text; Python's own, as it never leaves the process and costs nothing the second time.
            sender: canonical.
            time: event time, ms UTC.
        """
        self._turn(time)
        count = self._young.get(hashed) or self._old.pop(hashed, None)
        if count is None:
            self._young[hashed] = sender
            return 1, 1
        if isinstance(count, str):
            count = _Count(1, _bit(count))
        self._young[hashed] = count
        count.hits += 1
        count.seen |= _bit(sender)
        return count.hits, count.seen.bit_count()


def _bit(sender: Canonical) -> int:
    return 1 << crc32(sender.encode()) % 64


class Campaigns(Detector):
    """``CAMPAIGN_HIT``: the text is a near-duplicate of suspicious texts that were seen often.
    ``CAMPAIGN_BULK``: many ordinary numbers send the same text, letter by letter.

    Only what is suspicious or frequent is fingerprinted: 15 us a message would be most of what a message costs. Ports
    of enterprises (106..., 95...) send in bulk by nature and are left out.

    Args:
        hits: of a campaign (each halved every half-life) from which it is one.
        senders: different numbers that send the same text, from which that is a sign.
    """

    name = "campaign"
    sees = SMS
    counts = True
    CODES = frozenset({"CAMPAIGN_HIT", "CAMPAIGN_BULK"})

    def __init__(self, index: CampaignIndex, counts: TextCounts, *, hits: float = 5.0, senders: int = 20) -> None:
        self._index, self._counts = index, counts
        self._hits, self._senders = hits, senders

    def inspect(self, batch: Batch) -> None:
        hits, a, add, known = batch.hits, batch.a, self._counts.add, self._index.known
        for i, sms, normalised in batch.sms:
            try:
                sender = a[i]
                if len(normalised) < SHORTEST or sender[:1] != "+" or sms.route == "port" or i in batch.repeated:
                    continue
                if sms.segment < sms.segments:  # a long message counts once: with its last segment
                    continue
                count, senders = add(hash(normalised), sender, sms.time)
                if i in hits and _is_suspicious(hits[i]):
                    campaign: Campaign | None = self._index.add(normalised, sender, sms.time)
                else:
                    campaign = known(normalised)
                if campaign and self._index.weight(campaign, sms.time) >= self._hits and campaign.senders > 1:
                    detail = f"id={campaign.id} hits={campaign.hits} senders={campaign.senders}"
                    batch.add(i, Evidence("CAMPAIGN_HIT", campaign.id, _VERSION, detail=detail))
                if senders >= self._senders:
                    detail = f"hits={count} senders>={senders}"
                    batch.add(i, Evidence("CAMPAIGN_BULK", "CAMPAIGN_BULK", _VERSION, detail=detail))
            except Exception as error:  # noqa: BLE001 - raised again where nobody guards
                batch.failed(i, error)


def _is_suspicious(evidence: list[Evidence]) -> bool:
    return all(e.detail != _NOTICE and e.code != "LIST_ALLOW" for e in evidence)
