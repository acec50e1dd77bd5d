"""The message score against naive models that look at one text and one gram at a time."""

import math
import re
from collections import Counter

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.contract import Batch
from detectors.model.errors import ModelError
from detectors.model.events import SmsEvent
from detectors.score import Made, MessageScore, Parameters, ScoreModel, file
from detectors.score.clusters import clusters, folds
from detectors.score.features import BITS, buckets, join
from detectors.score.model import LIMIT, quantised

#: What normalising leaves, and more than that: anything but a line feed, lone surrogates too.
characters = st.sampled_from("0129a贷款") | st.characters(exclude_characters="\n") | st.just("\ud800")
texts = st.lists(st.text(characters, max_size=40), max_size=8)
FEW = 12


def model(bits=BITS, **parameters):
    weights = np.random.default_rng(7).integers(-LIMIT, LIMIT + 1, 1 << bits).astype(np.int16)
    return ScoreModel(weights, Parameters(scale=1e-4, bias=-0.5, bits=bits, **parameters), Made(licence="CC0"))


SMALL = model(FEW)
FILE = file.write(SMALL)


def naive(text, bits=BITS):
    """The bucket of every gram of a text."""
    found = Counter()
    codes = [ord(c) for c in re.sub("[0-9]+", "0", text)]
    for start in range(len(codes)):
        hashed = 0
        for code in codes[start : start + 3]:
            hashed = (hashed + code) * 0x9E3779B1 % 2**32
            mixed = (hashed ^ hashed >> 15) * 0x85EBCA6B % 2**32
            found[mixed >> 32 - bits] += 1
    return found


@given(texts)
def test_features_are_those_of_one_text_and_gram_at_a_time(given_texts):
    joined = join(given_texts)
    found = [Counter() for _ in given_texts]
    for bucket, within in buckets(joined.codes):
        for place in np.flatnonzero(within):
            found[np.searchsorted(joined.ends, place)][int(bucket[place])] += 1
    assert found == [naive(text) for text in given_texts]
    assert joined.grams.tolist() == [sum(grams.values()) for grams in found]


@given(texts)
def test_scores_are_those_of_the_formula(given_texts):
    for text, score in zip(given_texts, SMALL.scores(given_texts), strict=True):
        grams = naive(text, FEW)
        total = sum(int(SMALL.weights[bucket]) * count for bucket, count in grams.items())
        margin = -0.5 + 1e-4 * total / math.sqrt(max(1, sum(grams.values())))
        assert score == pytest.approx(1 / (1 + math.exp(-margin)))


@given(texts, st.integers(1, 5))
def test_the_size_of_a_batch_changes_no_score(given_texts, size):
    parts = [SMALL.scores(given_texts[i : i + size]).tolist() for i in range(0, len(given_texts), size)]
    assert [score for part in parts for score in part] == SMALL.scores(given_texts).tolist()


@given(st.text("0123456789", min_size=1), st.text("0123456789", min_size=1))
def test_which_digits_and_how_many_does_not_matter(one, other):
    assert SMALL.scores([f"尾号{one}积分"]) == SMALL.scores([f"尾号{other}积分"])


def test_long_texts_do_not_overflow():
    heavy = ScoreModel(np.full(1 << FEW, LIMIT, np.int16), Parameters(scale=1.0, bias=0.0, bits=FEW))
    assert heavy.margins(["积分" * 50_000])[0] == pytest.approx(LIMIT * math.sqrt(3 * 100_000 - 3))
    assert heavy.scores(["积分" * 50_000]).tolist() == [1.0]


@given(st.lists(st.text(max_size=30), max_size=8), st.integers(1, 4))
def test_evidence_is_of_long_enough_messages_that_reach_the_threshold(given_texts, shortest):
    eager = model(FEW, threshold=0.4, shortest=shortest)
    events = [SmsEvent(id="s", time=0, a_number="1", b_number="2", text=text) for text in given_texts]
    batch = Batch(events)
    MessageScore(eager).inspect(batch)
    for i, _, normalised in batch.sms:
        told = len(normalised) >= shortest and bool(eager.scores([normalised])[0] >= 0.4)
        assert [e.code for e in batch.hits.get(i, ())] == ["MESSAGE_SCORE"] * told
        assert all(e.version == eager.version and re.fullmatch(r"p=\d\.\d\d", e.detail) for e in batch.hits.get(i, ()))


def test_a_file_gives_the_model_back():
    again = file.read(FILE, "m")
    assert again.parameters == SMALL.parameters
    assert again.made == SMALL.made
    assert again.weights.tolist() == SMALL.weights.tolist()
    assert (
        again.version
        == SMALL.version
        == file.read(file.write(ScoreModel(SMALL.weights, SMALL.parameters)), "m").version
    )
    assert model(FEW, threshold=0.9).version != SMALL.version


@given(st.integers(0, len(FILE) - 1), st.integers(0, 7))
def test_a_flipped_bit_is_refused(place, bit):
    data = bytearray(FILE)
    data[place] ^= 1 << bit
    with pytest.raises(ModelError, match=r"^some file: .*lanjie train sms"):
        file.read(bytes(data), "some file")


@given(st.integers(0, len(FILE) - 1), st.binary(max_size=3))
def test_a_file_cut_short_or_with_more_behind_it_is_refused(length, more):
    with pytest.raises(ModelError, match=r"^m: "):
        file.read(FILE[:length] + more * (length + len(more) < len(FILE)), "m")
    with pytest.raises(ModelError, match="cut short or damaged"):
        file.read(FILE + b"\0" + more, "m")


def signed(header, weights=b""):
    """A file with a right checksum, whatever is in it."""
    import hashlib  # noqa: PLC0415

    body = b"LANJIE-MODEL 1\n" + len(header).to_bytes(4, "little") + header + weights
    return body + hashlib.sha256(body).digest()


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "begins with b''"),
        (b"\x80\x05pickle", "expected b'LANJIE-MODEL 1"),
        (FILE.replace(b"MODEL 1\n", b"MODEL 2\n", 1), "format b'2'; expected 1; update lanjie"),
        (signed(b"no json"), "header: "),
        (signed(b'{"parameters":{"scale":1.0}}'), "missing required field"),
        (signed(b'{"parameters":{"scale":1.0,"bias":0.0,"bits":99},"made":{}}'), r"\$.parameters.bits: 99"),
        (signed(b'{"parameters":{"scale":1.0,"bias":0.0,"bits":12},"made":{}}', b"12"), "2 bytes .* expected 8,192"),
        (
            signed(b'{"parameters":{"scale":1.0,"bias":0.0,"bits":12},"made":{}}', b"\xff\x7f" * 4096),
            "a weight of size 32767; expected at most 10922",
        ),
        (
            signed(b'{"parameters":{"scale":1.0,"bias":0.0,"bits":12,"threshold":0},"made":{}}', bytes(8192)),
            r"\$.parameters.threshold: 0",
        ),
    ],
)
def test_what_is_no_model_of_ours_is_refused(data, problem):
    with pytest.raises(ModelError, match=problem):
        file.read(data, "m")


@given(st.lists(st.floats(-9, 9, allow_subnormal=False), min_size=1, max_size=20))
def test_quantising_loses_little(weights):
    dense = np.zeros(1 << FEW)
    dense[: len(weights)] = weights
    made = quantised(dense, 0.25, FEW)
    assert np.abs(made.weights * made.parameters.scale - dense).max() <= max(map(abs, weights)) / LIMIT
    assert msgspec.json.decode(msgspec.json.encode(made.parameters), type=Parameters) == made.parameters


@given(
    st.lists(
        st.sampled_from(["ab", "abc", "贷款办理请加微信", "贷款办理请加微信吧", "今天天气很好我们去公园"]), max_size=30
    )
)
def test_equal_texts_are_one_cluster(given_texts):
    found = clusters(given_texts).tolist()
    for i, text in enumerate(given_texts):
        assert found[i] <= i
        assert found[i] == found[given_texts.index(text)]
    if "贷款办理请加微信" in given_texts and "贷款办理请加微信吧" in given_texts:
        assert found[given_texts.index("贷款办理请加微信")] == found[given_texts.index("贷款办理请加微信吧")]
    if "ab" in given_texts and "abc" in given_texts:
        assert found[given_texts.index("ab")] != found[given_texts.index("abc")]


@given(st.lists(st.integers(0, 12), min_size=1, max_size=60), st.integers(2, 5), st.integers(0, 3))
def test_folds_keep_groups_together_and_are_as_even_as_that_allows(groups, count, seed):
    found = folds(np.array(groups), count, seed)
    assert len(set(zip(groups, found.tolist(), strict=True))) == len(set(groups))
    sizes = np.bincount(found, minlength=count)
    assert sizes.max() - sizes.min() <= max(Counter(groups).values())
