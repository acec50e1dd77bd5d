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


_PARTS = (
    "您好", "今天下午三点", "在二楼会议室开会", "请准时参加", "收到请回复", "妈,我晚上加班", "不回来吃饭了",
    "你们先吃", "路上堵车", "晚到二十分钟", "周末有空吗?", "一起去爬岳麓山吧", "天气预报说是晴天", "记得带伞",
    "包裹放在门卫那里", "钥匙在鞋柜上", "孩子明天考试", "老师说要带2B铅笔", "电影是19:40的", "我在地铁口等你",
    "生日快乐", "祝您身体健康", "资料已经发到邮箱", "麻烦帮我看一下", "OK", "好的,谢谢", "到家了吗",
    "航班CA1352准点",
)  # fmt: skip


def phrases(count: int, *, seed: int = 4) -> list[str]:
    """``count`` different benign messages of 43 characters on average: what most SMS are like."""
    rng = random.Random(seed)
    return ["，".join(rng.choices(_PARTS, k=rng.randint(4, 9))) for _ in range(count)]
