"""The workload of the benchmark: calls and SMS 1:1, the same bytes for every contender."""

from __future__ import annotations

import random

from detectors.model.events import CallEvent, Event, SmsEvent

T0 = 1_790_000_000_000
TEXTS = (
    "您好，今天下午三点在二楼会议室开会，请准时参加，收到请回复。",
    "妈，我晚上加班，不回来吃饭了，你们先吃，不用等我。",
    "【快递】您的包裹已到驿站，请凭取件码及时领取，如有疑问请联系驿站。",
    "周末有空吗？一起去爬岳麓山吧，天气预报说是晴天。",
)


def workload(count: int, *, callers: int = 20_000, seed: int = 1) -> list[Event]:
    """``count`` benign events from ``callers`` numbers, one millisecond apart."""
    rng = random.Random(seed)
    found: list[Event] = []
    for i in range(count):
        a, b = f"138{rng.randrange(callers):08}", f"139{rng.randrange(10**8):08}"
        if i % 2:
            found.append(CallEvent(id=f"b{i}", time=T0 + i, a_number=a, b_number=b))
        else:
            found.append(SmsEvent(id=f"b{i}", time=T0 + i, a_number=a, b_number=b, text=rng.choice(TEXTS)))
    return found


def list_lines(count: int, *, seed: int = 2) -> list[str]:
    """``count`` block-list numbers, none of which the workload uses."""
    rng = random.Random(seed)
    return [f"15{rng.randrange(10**9):09}" for _ in range(count)]
