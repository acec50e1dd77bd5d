"""What masking shows of any bytes: no number, no text, and no more lines than a person reads."""

from __future__ import annotations

import json
import re

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from detectors.model.events import KINDS
from stream.dlq.masking import MORE, SHOWN_CHARS, form, masked, masked_name, masked_value
from stream.wire import encode_event
from tests.support.events import events

OURS = sorted({f.encode_name for cls in KINDS.values() for f in msgspec.structs.fields(cls)}, key=len)
texts = st.text(st.sampled_from('0123456789今晚老地方aZ "\\{}[]:,.\n\x00é+-'), max_size=60) | st.text(max_size=40)
jsons = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
values = st.one_of(
    st.binary(max_size=400),
    texts.map(str.encode),
    jsons.map(lambda each: json.dumps(each, ensure_ascii=False).encode("utf-8", "surrogatepass")),
    jsons.map(lambda each: json.dumps(each).encode()[:-1]),
    events().map(encode_event),
    events().map(lambda event: encode_event(event)[:-20]),
)


def says_nothing(shown: str, ours: bool = False) -> None:
    if ours:  # a_e164 is a field of ours
        for name in OURS:
            shown = re.sub(rf'"{name}"( ?:)', r'""\1', shown)
    assert shown.isascii()
    assert not re.search(r"[0-9]{3}", shown)


@given(values)
@example(b'{"13800004321":{"a138000":["13800004321",13800004321,1e300]},"v":99}')
@example('{"text":"今晚"七点":13800004321,"v":123'.encode())
@example(b"\xff\xfe1\x003\x008\x000\x00")
def test_no_number_and_no_text_is_shown(value: bytes):
    lines = masked_value(value)
    says_nothing("\n".join(lines), ours=True)
    assert sum(map(len, lines)) <= SHOWN_CHARS + 2 * len(MORE)
    assert not any(re.search(r"[\x00-\x1f\x7f]", line) for line in lines)
    says_nothing(masked(value))
    says_nothing(form(value))


@given(texts)
def test_no_number_and_no_text_is_in_a_name(name: str):
    if name not in OURS:
        says_nothing(masked_name(name))


@given(events())
def test_the_fields_of_an_event_are_named(event):
    shown = "\n".join(masked_value(encode_event(event)))
    assert all(f'"{name}": ' in shown for name in json.loads(encode_event(event)))


def test_what_is_long_is_cut_soon():
    for value in (
        b'"' + b"x" * (2 << 20) + b'"',
        b'"\\"' * 300_000,
        b"\xff" * (2 << 20),
        b"[" * 100_000,
        b"1" * 99_999,
    ):
        assert sum(map(len, masked_value(value))) <= SHOWN_CHARS + 2 * len(MORE)
