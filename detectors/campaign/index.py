"""The campaigns of late: how often each was seen, by how many senders, since when. Event time, bounded memory."""

from __future__ import annotations

from collections import Counter
from math import log
from zlib import crc32

from msgspec import Struct
from rapidfuzz.distance import Indel

from detectors.campaign.sketch import ALIKE, Sketch, digest, sketch
from detectors.model.numbers import Canonical

_SENDER_BITS = 256
LEAST = 0.75  #: part of two texts that must be common, in order (insertions and deletions only)


class Campaign(Struct, gc=False):
    """One campaign. ``weight`` is its hits, each halved every half-life, as of ``last``."""

    id: str
    text: str  #: of its first message, as normalised; in memory only
    sketch: Sketch
    first: int  #: event time, ms UTC
    last: int
    hits: int = 0
    weight: float = 0.0
    seen: int = 0  #: a bit for each sender, by its hash

    @property
    def senders(self) -> int:
        """Distinct senders, estimated (linear counting, Whang 1990): within a tenth up to 300."""
        empty = _SENDER_BITS - self.seen.bit_count()
        return round(-_SENDER_BITS * log(max(empty, 1) / _SENDER_BITS))


class CampaignIndex:
    """Finds the campaign of a text and counts it.

    Args:
        half_life_ms: of a hit's weight.
        max_campaigns: bound; the one that was seen least recently (by event time of its last hit) goes.
    """

    def __init__(self, half_life_ms: int = 6 * 3_600_000, max_campaigns: int = 20_000) -> None:
        self._half_life, self._max = half_life_ms, max_campaigns
        self._exact: dict[int, Campaign] = {}  # hash of a text -> its campaign
        self._texts: dict[str, list[int]] = {}  # campaign id -> hashes of its texts
        self._holders: dict[int, list[Campaign]] = {}  # hash -> campaigns that have it in their sketch
        self._campaigns: dict[str, Campaign] = {}  # in order of being hit

    def __len__(self) -> int:
        return len(self._campaigns)

    def known(self, normalised: str) -> Campaign | None:
        """The campaign of a text that was seen before, letter by letter."""
        return self._exact.get(hash(normalised))

    def add(self, normalised: str, sender: Canonical, time: int) -> Campaign:
        """Count a message and return its campaign, a new one if it is like none."""
        hashed = hash(normalised)
        campaign = self._exact.get(hashed)
        if campaign is None:
            campaign = self._find(normalised, hashes := sketch(normalised))
            campaign = campaign or self._new(Campaign(f"{digest(normalised):016x}", normalised, hashes, time, time))
            texts = self._texts[campaign.id]
            if len(texts) < _TEXTS:
                texts.append(hashed)
                self._exact[hashed] = campaign
        self._count(campaign, sender, time)
        self._campaigns[campaign.id] = self._campaigns.pop(campaign.id)
        return campaign

    def _count(self, campaign: Campaign, sender: Canonical, time: int) -> None:
        # Symmetric in time: a late message adds what is left of it, so the order of arrival does not matter.
        if time >= campaign.last:
            campaign.weight = campaign.weight * 0.5 ** ((time - campaign.last) / self._half_life) + 1.0
            campaign.last = time
        else:
            campaign.weight += 0.5 ** ((campaign.last - time) / self._half_life)
            campaign.first = min(campaign.first, time)
        campaign.hits += 1
        campaign.seen |= 1 << crc32(sender.encode()) % _SENDER_BITS

    def _find(self, normalised: str, hashes: Sketch) -> Campaign | None:
        """The campaign most like it. The sketch proposes, the texts decide: common trigrams make few hashes common."""
        common: Counter[str] = Counter()
        for value in hashes:
            for campaign in self._holders.get(value, ()):
                common[campaign.id] += 1
        best, most = None, LEAST
        for name, count in common.items():
            if count >= ALIKE:
                campaign = self._campaigns[name]
                like = Indel.normalized_similarity(campaign.text, normalised, score_cutoff=most)
                if like > most or (like == most and best is None):
                    best, most = campaign, like
        return best

    def _new(self, campaign: Campaign) -> Campaign:
        if len(self._campaigns) >= self._max:
            self._forget(next(iter(self._campaigns)))
        self._campaigns[campaign.id] = campaign
        self._texts[campaign.id] = []
        for value in campaign.sketch:
            self._holders.setdefault(value, []).append(campaign)
        return campaign

    def _forget(self, name: str) -> None:
        campaign = self._campaigns.pop(name)
        for hashed in self._texts.pop(name):
            del self._exact[hashed]
        for value in campaign.sketch:
            holders = self._holders[value]
            holders.remove(campaign)
            if not holders:
                del self._holders[value]


_TEXTS = 64  #: wordings of a campaign that are known letter by letter; the others are found by sketch
