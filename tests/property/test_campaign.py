"""Campaigns against naive models that keep every message."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.campaign import CampaignIndex, Campaigns
from detectors.campaign import index as campaigns
from detectors.campaign.detector import TextCounts
from detectors.campaign.sketch import digest, sketch
from detectors.contract import Batch
from detectors.model.decision import Evidence
from detectors.model.events import SmsEvent
from detectors.normalise.text import normalise

T0 = 1_790_000_000_000
HALF_LIFE = 3_600_000
BASES = (
    "尊敬的客户您的积分即将过期请登录网址兑换现金逾期作废谢谢合作",
    "恭喜您被抽中为幸运观众将获得奖金和笔记本电脑一台请尽快领取",
    "本公司代开各类发票点数优惠可先验后付欢迎来电咨询长期有效保真",
)
senders = st.integers(0, 40).map(lambda n: f"+861380000{n:04}")
messages = st.tuples(st.sampled_from(BASES), senders, st.integers(0, 10 * HALF_LIFE).map(T0.__add__))


@given(st.lists(messages, min_size=1, max_size=60))
def test_hits_weight_and_times_equal_those_of_all_messages_kept(seen):
    index = CampaignIndex(HALF_LIFE)
    for text, sender, time in seen:
        campaign = index.add(text, sender, time)
    same = [(sender, time) for text, sender, time in seen if text == campaign.wordings[0]]
    assert campaign.hits == len(same)
    assert (campaign.first, campaign.last) == (min(t for _, t in same), max(t for _, t in same))
    assert campaign.weight == pytest.approx(sum(0.5 ** ((campaign.last - t) / HALF_LIFE) for _, t in same))
    assert abs(campaign.senders - len({s for s, _ in same})) <= max(2, 0.15 * len(same))


@given(st.lists(messages, min_size=1, max_size=40), st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(seen, rng):
    def run(order):
        index = CampaignIndex(HALF_LIFE)
        found = {text: index.add(text, sender, time) for text, sender, time in order}
        return {text: (c.hits, round(c.weight, 6), c.first, c.last, c.seen) for text, c in found.items()}

    shuffled = list(seen)
    rng.shuffle(shuffled)
    assert run(shuffled) == run(seen)


@given(st.sampled_from(BASES), st.data())
def test_a_few_edits_make_no_new_campaign_and_other_texts_do(text, data):
    index = CampaignIndex()
    first = index.add(text, "+8613800000000", T0)
    at = data.draw(st.lists(st.integers(0, len(text) - 1), max_size=1))
    edited = "".join("某" if i in at else c for i, c in enumerate(text)) + data.draw(
        st.sampled_from(["", "1234", "99"])
    )
    assert index.add(edited, "+8613800000001", T0) is first
    others = [index.add(other, "+8613800000002", T0) for other in BASES if other != text]
    assert first not in others


@given(
    st.lists(
        st.text(st.sampled_from("客户积分兑换现金奖金发票贷款"), min_size=16, max_size=24), min_size=1, max_size=80
    )
)
@settings(max_examples=50)
def test_memory_is_bounded_and_what_is_forgotten_leaves_nothing(texts):
    index = CampaignIndex(max_campaigns=5)
    for n, text in enumerate(texts):
        campaign = index.add(text, "+8613800000000", T0 + n)
        assert len(index) <= 5
        assert index.add(text, "+8613800000000", T0 + n) is campaign
    held = {value for c in index._campaigns.values() for text in c.wordings for value in sketch(text)}
    assert set(index._holders) == held
    assert set(index._texts) == set(index._campaigns)
    assert set(index._exact) == {d for digests in index._texts.values() for d in digests}


def unlike(count, seed):
    """Texts that share half of their characters."""
    rng = Random(seed)
    return [BASES[0] + "".join(chr(rng.randrange(0x4E00, 0x9F00)) for _ in range(26)) for _ in range(count)]


def variants(text, changes, first, seed=5):
    """Without end, from character ``first`` on."""
    rng = Random(seed)
    while True:
        found = list(text)
        for at in rng.sample(range(first, len(text)), changes):
            found[at] = chr(rng.randrange(0x4E00, 0x9F00))
        yield "".join(found)


def test_a_phrase_that_all_use_hides_no_near_duplicate_and_few_are_looked_at():
    """2,500 texts, and every tenth again with one character changed."""
    index, rng, texts = CampaignIndex(), Random(3), unlike(2_500, 3)
    own = [f"{digest(text):016x}" for text in texts]
    assert [index.add(text, "+8613800000000", T0).id for text in texts] == own
    places = [rng.randrange(len(text)) for text in texts]
    changed = [f"{text[:at]}某{text[at + 1 :]}" for text, at in zip(texts, places, strict=True)]
    looked_at = [len(index._near(sketch(text))) for text in changed[::10]]
    assert campaigns._LOOKED_AT // 2 < max(looked_at) <= campaigns._LOOKED_AT < max(map(len, index._holders.values()))
    assert [index.add(text, "+8613800000000", T0).id for text in changed[::10]] == own[::10]


def test_a_variant_that_has_only_the_common_phrase_left_is_found_among_the_newest():
    index, texts = CampaignIndex(), unlike(1_500, 4)
    ids = [index.add(text, "+8613800000000", T0).id for text in texts]
    assert len(set(ids)) == len(texts)
    common = {value for value, holders in index._holders.items() if len(holders) > campaigns._LOOKED_AT}
    of_last = sketch(texts[-1])
    variant = next(each for each in variants(texts[-1], 10, len(BASES[0])) if sketch(each) & of_last <= common)
    assert index.add(variant, "+8613800000000", T0).id == ids[-1]


@pytest.mark.parametrize("text", unlike(5, 6))
def test_one_common_hash_is_enough(text):
    index = CampaignIndex()
    first = index.add(text, "+8613800000000", T0)
    variant = next(each for each in variants(text, 10, 0) if len(sketch(each) & sketch(text)) == 1)
    assert index.add(variant, "+8613800000000", T0) is first


@given(st.lists(st.tuples(st.integers(0, 5), senders, st.integers(0, 5_000)), max_size=60))
def test_counts_are_those_of_the_last_one_to_two_spans(seen):
    counts = TextCounts(span_ms=1_000, max_texts=1_000)
    kept = []
    latest = 0
    for text, sender, step in seen:
        latest += step
        kept.append((text, sender, T0 + latest))
        hits, _ = counts.add(text, sender, T0 + latest)
        certain = [s for t, s, time in kept if t == text and T0 + latest - time < 1_000]
        assert len(certain) <= hits <= sum(t == text for t, _, _ in kept)


def test_counts_are_bounded():
    counts = TextCounts(max_texts=10)
    for n in range(1_000):
        counts.add(n, "+8613800000000", T0)
    assert len(counts) <= 20


def sms(n, text, sender, route="p2p"):
    return SmsEvent(id=f"e{n}", time=T0 + n, a_number=sender, b_number="13900000000", text=text, route=route)


def codes(events, suspicious, size):
    """Decide in batches of ``size``, with a sign on the events that ``suspicious`` names."""
    detector = Campaigns(CampaignIndex(), TextCounts(), hits=5.0, senders=4)
    found = []
    for start in range(0, len(events), size):
        batch = Batch(events[start : start + size])
        for i, event in enumerate(batch.events):
            if suspicious(event):
                batch.add(i, Evidence("TEXT_X", "TEXT_X", "1", detail="phishing"))
        detector.inspect(batch)
        found += [[e.code for e in batch.hits.get(i, ()) if e.code != "TEXT_X"] for i in range(len(batch.events))]
    return found


@pytest.mark.parametrize("size", [1, 3, 100])
def test_the_fifth_of_a_suspicious_campaign_is_a_hit(size):
    events = [sms(n, BASES[0] + f"编号{n}", f"138000000{n % 3:02}") for n in range(7)]
    assert codes(events, lambda _: True, size) == [[]] * 5 + [["CAMPAIGN_HIT"]] * 2  # a little of each hit has decayed


def test_a_known_text_is_a_hit_though_nothing_else_is_seen_in_it():
    events = [sms(n, BASES[0], f"138000000{n:02}") for n in range(8)]
    found = codes(events, lambda e: e.id != "e7", 8)
    assert "CAMPAIGN_HIT" in found[7]


def test_one_text_from_many_numbers_is_bulk_and_ports_are_left_out():
    many = [sms(n, BASES[1], f"138000000{n:02}") for n in range(5)]
    assert codes(many, lambda _: False, 5)[-1] == ["CAMPAIGN_BULK"]
    assert codes([sms(n, BASES[1], f"1069000{n}", "port") for n in range(9)], lambda _: False, 9)[-1] == []


def test_warnings_of_fraud_make_no_campaign():
    detector = Campaigns(CampaignIndex(), TextCounts(), hits=1.0)
    for n in range(9):
        batch = Batch([sms(n, BASES[2], f"138000000{n:02}")])
        batch.add(0, Evidence("TEXT_NOTICE", "TEXT_NOTICE", "1", detail="notice"))
        detector.inspect(batch)
        assert len(batch.hits[0]) == 1
    assert normalise(BASES[2]) == BASES[2]


def test_a_clock_that_is_ahead_does_not_keep_counts_for_ever():
    hour, day = 3_600_000, 86_400_000
    for first in ([], [T0 + 365 * day]):
        counts = TextCounts()
        for time in first:
            counts.add(7, "+8613800000000", time)
        seen = [counts.add(1, f"+86138000000{n:02}", T0 + 2 * n * hour) for n in range(40)]
        assert set(seen) == {(1, 1)}


def test_a_campaign_of_long_ago_is_none():
    detector = Campaigns(CampaignIndex(), TextCounts(), hits=5.0)
    for n in range(10):
        batch = Batch([sms(n, BASES[0], f"138000000{n:02}")])
        batch.add(0, Evidence("TEXT_X", "TEXT_X", "1", detail="phishing"))
        detector.inspect(batch)
    for later, found in ((1, True), (20 * 86_400_000, False)):
        batch = Batch([sms(later, BASES[0], "13800000099")])
        detector.inspect(batch)
        assert bool(batch.hits) is found
