"""The campaigns of late: how often each was seen, by how many senders, since when. Event time, bounded memory."""

from __future__ import annotations

from collections.abc import Collection
from math import log
from zlib import crc32

from msgspec import Struct
from rapidfuzz import process
from rapidfuzz.distance import Indel

from detectors.campaign.sketch import Sketch, digest, sketch
from detectors.model.numbers import Canonical

_SENDER_BITS = 256
LEAST = 0.75  #: part of two texts that must be common, in order (insertions and deletions only)
_OF_FIRST = 0.7  # the same with a campaign's first text: or it would drift from wording to wording
_NEW = 0.95  # a text less like any wording than this is a wording of its own
_WORDINGS = 8  # of a campaign that others are compared with
_LOOKED_AT = 300  # wordings that have a hash of a text: with a phrase that all use it would be nearly all
_EXACT = 64  # texts of a campaign that are known letter by letter; the others are found by sketch


class Wording(Struct, frozen=True, gc=False):
    """A text of a campaign that others are compared with."""

    campaign: str  #: its id
    text: str


class Campaign(Struct, gc=False):
    """One campaign. ``weight`` is its hits, each halved every half-life, as of ``last``."""

    id: str
    wordings: list[str]  #: texts that others are compared with, as normalised, its first one first; in memory only
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
        self._holders: dict[int, list[Wording]] = {}  # hash -> wordings that have it in their sketch
        self._campaigns: dict[str, Campaign] = {}  # in order of being hit

    def __len__(self) -> int:
        return len(self._campaigns)

    def known(self, normalised: str) -> Campaign | None:
        """The campaign of a text that was seen before, letter by letter."""
        return self._exact.get(hash(normalised))

    def weight(self, campaign: Campaign, time: int) -> float:
        """What the hits of a campaign weigh at ``time``: at most as of its last one."""
        kept: float = campaign.weight * 0.5 ** (max(0, time - campaign.last) / self._half_life)
        return kept

    def add(self, normalised: str, sender: Canonical, time: int) -> Campaign:
        """Count a message and return its campaign, a new one if it is like none."""
        hashed = hash(normalised)
        campaign = self._exact.get(hashed)
        if campaign is None:
            campaign, like = self._find(normalised, hashes := sketch(normalised))
            campaign = campaign or self._new(Campaign(f"{digest(normalised):016x}", [], time, time))
            if like < _NEW and len(campaign.wordings) < _WORDINGS:
                self._word(campaign, normalised, hashes)
            texts = self._texts[campaign.id]
            if len(texts) < _EXACT:
                texts.append(hashed)
                self._exact[hashed] = campaign
        self._count(campaign, sender, time)
        self._campaigns[campaign.id] = self._campaigns.pop(campaign.id)
        return campaign

    def _count(self, campaign: Campaign, sender: Canonical, time: int) -> None:
        # Symmetric in time: a late message adds what is left of it, so the order of arrival does not matter.
        if time >= campaign.last:
            campaign.weight = self.weight(campaign, time) + 1.0
            campaign.last = time
        else:
            campaign.weight += 0.5 ** ((campaign.last - time) / self._half_life)
            campaign.first = min(campaign.first, time)
        campaign.hits += 1
        campaign.seen |= 1 << crc32(sender.encode()) % _SENDER_BITS

    def _find(self, normalised: str, hashes: Sketch) -> tuple[Campaign | None, float]:
        """The campaign with the wording most like it, and how like. One common hash proposes, the texts decide."""
        near = [*self._near(hashes)]
        found = process.extract(
            normalised,
            [wording.text for wording in near],
            scorer=Indel.normalized_similarity,
            processor=None,
            limit=None,
            score_cutoff=LEAST,
        )
        for _, like, at in found:  # the most like first
            if self._is_near_the_first(near[at].campaign, normalised):
                return self._campaigns[near[at].campaign], like
        return None, 0.0

    def _near(self, hashes: Sketch) -> Collection[Wording]:
        """Wordings that have one of the hashes; of the commonest, which say least, only the newest that have them."""
        near: dict[int, Wording] = {}
        room = _LOOKED_AT
        lists = sorted((found for value in hashes if (found := self._holders.get(value))), key=len)
        for left, holders in zip(range(len(lists), 0, -1), lists, strict=True):
            newest = holders[-(room // left) :]  # what a short list leaves goes to the longer ones
            near |= zip(map(id, newest), newest, strict=True)
            room = _LOOKED_AT - len(near)
        return near.values()

    def _is_near_the_first(self, name: str, text: str) -> bool:
        first = self._campaigns[name].wordings[0]
        return Indel.normalized_similarity(first, text, score_cutoff=_OF_FIRST) > 0

    def _word(self, campaign: Campaign, text: str, hashes: Sketch) -> None:
        campaign.wordings.append(text)
        wording = Wording(campaign.id, text)
        for value in hashes:
            self._holders.setdefault(value, []).append(wording)

    def _new(self, campaign: Campaign) -> Campaign:
        if len(self._campaigns) >= self._max:
            self._forget(next(iter(self._campaigns)))
        self._campaigns[campaign.id] = campaign
        self._texts[campaign.id] = []
        return campaign

    def _forget(self, name: str) -> None:
        campaign = self._campaigns.pop(name)
        for hashed in self._texts.pop(name):
            del self._exact[hashed]
        for text in campaign.wordings:
            for value in sketch(text):
                holders = self._holders[value]
                holders.remove(Wording(name, text))
                if not holders:
                    del self._holders[value]
