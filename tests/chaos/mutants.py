"""Records that nobody should send: events of all kinds, damaged in their bytes, their JSON or their Kafka record."""

from __future__ import annotations

import json
import random
from typing import Any, Final, NamedTuple

from detectors.model.events import Event
from stream.topics import INPUTS, SMS, Topic, topic_for
from stream.wire import ce_headers, encode_event
from tests.chaos.traffic import PROTECTED, Traffic

_START: Final = 1_790_000_000_000
_STRANGE: Final = (
    *("", " ", "\0", "a\0b", "\ud800", "\udfff\ud800", "\ufeff", "\u202e110", "\u200b" * 50, "\r\n\r\n", "\x1b[2J"),
    *(
        "１３８００００１２３４",
        "\u0661\u0662\u0663\u0664\u0665\u0666",
        "①②③④⑤⑥⑦",
        "零一二三四五六七",
        "1" * 32,
        "+" * 32,
    ),
    *("+86" * 10, "+8613800000007", "0086 138-0000-0007", "tel:110", "110;phone-context=+86", "sip:110@a.example"),
    *("urn:service:sos", "*31#110", "anonymous", "NaN", "null", "1e309", "-0", "\u0301" * 200, "e\u0301" * 100),
    *(
        "\U0001f468\u200d\U0001f469\u200d\U0001f467" * 40,
        "\ufdfd" * 300,
        "\u0130" * 500,
        "\u00df" * 500,
        "\ufb03" * 300,
    ),
    *(
        "\u337f" * 200,
        "\U000e0031\U000e0032",
        "\U0001f1e8\U0001f1f3",
        "ａ．ｂ／ｃ",
        "http://" + "a" * 3000,
        "https://[::1",
    ),
    *("http://xn--" + "-" * 60, "http://\u202e/\ud83d", "加微信" * 900, "贷款秒批" * 4000, "1" * 39_015, "。｡．" * 50),
    *("卡号6222" + "0" * 200, "%s%n{0}{}", "'; --", "<script>", "../" * 100, "\x85\u2028\u2029"),
)
_NUMBERS: Final = (
    *(0, -1, 1, 127, 128, 255, 256, 2**31, 2**53, 2**63 - 1, 2**63, 2**64, -(2**63), 10**40, 10**400, 0.5, 1e308),
    *(946_684_799_999, 946_684_800_000, 4_102_444_799_999, 4_102_444_800_000, 604_800_000, 604_800_001),
    *(True, False, None),
)
_WRONG: Final = ([], {}, [[[]]], {"a": {"b": []}}, ["110"], {"$": "13800001234"}, [None] * 100)


class Mutant(NamedTuple):
    """A record to publish."""

    topic: Topic
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]
    timestamp: int | None
    how: str


class Mutants:
    """An endless stream; the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self._traffic = Traffic(seed)
        self._others = [self._event(-1 - n) for n in range(300)]

    def _event(self, n: int) -> Event:
        return self._traffic.event(abs(n), _START + n)

    def make(self, n: int) -> Mutant:
        """Record n."""
        rng, event = self._rng, self._event(n)
        topic, good = topic_for(event), encode_event(event)
        how = rng.choice(_HOWS)
        value: bytes | None = getattr(self, f"_{how}")(good, event)
        if value and rng.random() < 0.15:
            value = self._flip(value, event)
        if how == "texts":
            topic = SMS
        if rng.random() < 0.02:
            topic = rng.choice(INPUTS)
        key, headers, timestamp = self._around(event)
        return Mutant(topic, key or (None if value is not None else b"-"), value, headers, timestamp, how)

    def _around(self, event: Event) -> tuple[bytes | None, list[tuple[str, bytes]], int | None]:
        """Key, headers and timestamp: mostly as they should be."""
        rng = self._rng
        key: bytes | None = event.a_number.encode()
        headers = ce_headers(event)
        if rng.random() < 0.1:
            key = rng.choice(
                [None, b"", rng.randbytes(rng.randrange(1, 40)), b"\xff" * 3, b"k" * 70_000 * (rng.random() < 0.02)]
            )
        if rng.random() < 0.1:
            spoofed = [
                ("dlq.offset", b"7"),
                ("dlq.reason", b""),
                ("lanjie.chunk", b"{}"),
                ("", b""),
                ("ü" * 20, b"\xff"),
            ]
            headers += rng.sample(spoofed, rng.randrange(1, 4))
        if rng.random() < 0.002:
            headers += [(f"h{i}", b"x" * 700) for i in range(100)]
        return key, headers, rng.choice([None] * 20 + [0, 1, _START])

    # -- bytes

    def _nothing(self, good: bytes, event: Event) -> bytes:
        return good

    def _tombstone(self, good: bytes, event: Event) -> None:
        return None

    def _flip(self, good: bytes, event: Event) -> bytes:
        rng, value = self._rng, bytearray(good)
        for _ in range(rng.randrange(1, 5)):
            at = rng.randrange(len(value))
            value[at] = rng.choice([value[at] ^ (1 << rng.randrange(8)), rng.randrange(256), 0, 0x22, 0x5C])
        return bytes(value)

    def _truncate(self, good: bytes, event: Event) -> bytes:
        return (
            good[: self._rng.randrange(len(good))]
            if self._rng.random() < 0.7
            else good[self._rng.randrange(1, len(good)) :]
        )

    def _splice(self, good: bytes, event: Event) -> bytes:
        rng, other = self._rng, encode_event(self._rng.choice(self._others))
        return good[: rng.randrange(len(good))] + other[rng.randrange(len(other)) :]

    def _insert(self, good: bytes, event: Event) -> bytes:
        rng = self._rng
        at = rng.randrange(len(good))
        odd = rng.choice(
            [
                b"\xff",
                b"\xc0\x80",
                b"\xed\xa0\x80",
                b"\xf4\x90\x80\x80",
                b"\0",
                b"\\u0000",
                b"\\ud800",
                b"\\",
                b'"',
                b"[",
                b"{",
                b"\n",
                b"9" * 30,
            ]
        )
        return good[:at] + odd * rng.randrange(1, 4) + good[at:]

    def _noise(self, good: bytes, event: Event) -> bytes:
        return self._rng.randbytes(self._rng.randrange(0, 400))

    def _nested(self, good: bytes, event: Event) -> bytes:
        depth = self._rng.choice([10, 100, 999, 1_001, 5_000, 100_000])
        opening, closing = self._rng.choice([(b"[", b"]"), (b'{"a":', b"}")])
        inner = opening * depth + b"1" + closing * (depth if self._rng.random() < 0.5 else 0)
        return good[:-1] + b',"extra":' + inner + b"}" if self._rng.random() < 0.7 else inner

    def _twice(self, good: bytes, event: Event) -> bytes:
        """A key that is there twice: which one counts?"""
        fields = list(json.loads(good).items())
        more = [(name, self._odd_value()) for name, _ in self._rng.sample(fields, self._rng.randrange(1, 3))]
        both = fields + more if self._rng.random() < 0.5 else more + fields
        return b"{" + b",".join(_text(name) + b":" + _text(value) for name, value in both) + b"}"

    def _huge(self, good: bytes, event: Event) -> bytes:
        size = self._rng.randrange(40_000) if self._rng.random() < 0.98 else self._rng.randrange(900_000)
        name = self._rng.choice(["text", "a_number", "b_number", "extra", "id", "x" * min(size, 5_000)])
        return _text({**json.loads(good), name: self._rng.choice(["1", "票", "a", "\0"]) * (size // 3)})

    # -- JSON: most of it is still an event

    def _odd_value(self) -> Any:
        kind = self._rng.random()
        return self._rng.choice(_STRANGE if kind < 0.6 else _NUMBERS if kind < 0.85 else _WRONG)

    def _fields(self, good: bytes, event: Event) -> bytes:
        """Some fields with other values."""
        fields, rng = json.loads(good), self._rng
        names = [*event.__struct_fields__, "msisdn", "v", "kind", "extra"]
        for name in rng.sample(names, rng.randrange(1, 4)):
            fields[name] = self._odd_value()
        return _text(fields)

    def _strings(self, good: bytes, event: Event) -> bytes:
        """Strings where strings belong."""
        fields, rng = json.loads(good), self._rng
        names = [
            name for name in ("a_number", "b_number", "text", "id", "msisdn", "cell", "agent_id") if name in fields
        ]
        name, odd = rng.choice(names), rng.choice(_STRANGE)
        fields[name] = odd[:32] if name != "text" and rng.random() < 0.8 else odd
        return _text(fields)

    def _texts(self, good: bytes, event: Event) -> bytes:
        """A message put together from what is hard to read."""
        rng = self._rng
        fields = {
            "kind": "sms",
            "id": event.id,
            "time": event.time,
            "a_number": event.a_number,
            "b_number": "13900000001",
        }
        parts = rng.choices(
            [*_STRANGE, "加微信", "贷款", "点击", "http://a.example/", "6222021234567890123", "验证码"],
            k=rng.randrange(1, 9),
        )
        return _text({**fields, "text": "".join(part[:3_000] for part in parts)})

    def _optional(self, good: bytes, event: Event) -> bytes:
        """All optional fields, with odd and ordinary values."""
        fields, rng = json.loads(good), self._rng
        for name in event.__struct_fields__:
            if name not in fields and name != "a_number" and rng.random() < 0.5:
                fields[name] = rng.choice([self._odd_value(), "+8613800000007", 5, "a", "national", "46000", "ended"])
        return _text(fields)

    def _version(self, good: bytes, event: Event) -> bytes:
        return _text(
            {**json.loads(good), "v": self._rng.choice([0, 2, 99, "1", 1.0, True, None, "13800001234", 10**30])}
        )

    def _numbers(self, good: bytes, event: Event) -> bytes:
        """To and from protected numbers, in odd ways of writing."""
        fields, rng = json.loads(good), self._rng
        odd = rng.choice(["", " ", "+", "+86", "0086", "0", "\u200b", "010", "179511", "86"]) + rng.choice(PROTECTED)
        fields[rng.choice([name for name in ("a_number", "b_number", "msisdn") if name in fields])] = odd
        return _text(fields)

    def _whole(self, good: bytes, event: Event) -> bytes:
        """JSON, but no object of ours."""
        return _text(
            self._rng.choice(
                [self._odd_value(), [json.loads(good)], {"event": json.loads(good)}, json.loads(good) | {"kind": "c"}]
            )
        )


def _text(value: Any) -> bytes:
    """JSON, as escapes or as it is; a lone surrogate as the bytes that some encoders write."""
    escaped = isinstance(value, dict) and len(str(value)) % 2 == 0
    return json.dumps(value, ensure_ascii=escaped).encode("utf-8", "surrogatepass")


_HOWS: Final = (
    *(
        "nothing",
        "nothing",
        "nothing",
        "strings",
        "texts",
        "optional",
        "optional",
        "numbers",
        "tombstone",
        "flip",
        "flip",
        "truncate",
        "splice",
        "insert",
        "noise",
        "nested",
        "twice",
    ),
    *("huge", "fields", "fields", "strings", "strings", "texts", "texts", "optional", "version", "numbers", "whole"),
)
