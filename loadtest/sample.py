"""The small synthetic log that is shipped, for where the published data is absent: about 3,000 events.

All of it is made up here: templates, numbers, times. Choices come from hashes, not from a random generator, so the
shipped files can be rebuilt to the byte: ``python -m loadtest.sample``. It shows that the pipeline works; its precision
and recall say nothing about real traffic, because its author knew the rules' subject.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import zstandard

from detectors.model.events import CallEvent, Event, SmsEvent
from loadtest import scenario
from loadtest.truth import SYNTHETIC, Label, LabelledLog, digest, dump_labels, in_order, load_labels
from stream.wire import decode_event, encode_event

FOLDER: Final = Path(__file__).parent / "samples"
T0: Final = 1_772_409_600_000  # 2026-03-02T00:00:00Z
SPAN_MS: Final = 6 * 3_600_000
MESSAGES, CALLS = 2000, 330
PEOPLE: Final = 400

#: label, class, how often in 100 messages, templates. {n} digits, {c} a code, {u} a link, {p} a person, {t} a time.
TEMPLATES: Final = (
    ("fraud", "phishing", 8, (
        "尊敬的工行用户：您的账户积分{n}分今日到期，可兑换现金，请登录 {u} 领取，逾期清零【工商银行】",
        "【建设银行】您的电子密码器将于今日失效，请尽快登录 {u} 更新",
        "【社保中心】您的医保卡异常将被停用，请点击 {u} 核实身份",
        "您的ETC认证已失效，请登录 {u} 重新办理，以免影响通行",
    )),
    ("fraud", "impersonation", 5, (
        "您好，这里是公安局，您名下一张银行卡涉嫌洗钱，请将资金转入安全账户配合调查，案号{n}",
        "我是京东金融客服，您的学生账户需要注销，否则影响征信，请添加客服微信办理",
        "您购买的商品有质量问题，现为您办理三倍理赔退款，请点击 {u} 填写银行卡号和验证码",
    )),
    ("fraud", "investment", 4, (
        "老师带单，稳赚不赔，日收益{n}%，加群领取内幕消息 {u}",
        "招聘刷单兼职，足不出户日赚{n}元，垫付本金立返佣金，联系QQ10000{n}",
    )),
    ("illegal", "gambling", 4, (
        "澳门线上赌场，首存送{n}，百家乐真人荷官在线发牌 {u}",
        "时时彩六合彩稳定平台，注册送彩金{n}元 {u}",
    )),
    ("illegal", "documents", 3, (
        "代开各类发票，增值税普票专票均可，验后付款，电话1990008{n}",
        "办证刻章，毕业证身份证驾驶证，快速出证",
    )),
    ("ad", "retail", 12, (
        "【甲市百货】周末全场{n}折起，满{n}减50，欢迎光临，回复TD退订",
        "【乙县影城】会员日电影票{n}元起，详见公众号，退订回T",
        "【运营商】本月流量包优惠，{n}元享10GB，回复KT办理",
    )),
    ("other", "code", 10, (
        "【某银行】您的验证码是{c}，5分钟内有效，请勿告诉他人。",
        "【快递】您的包裹已到丙区驿站，取件码{c}，请凭码领取。",
    )),
    ("other", "notice", 4, ("国家反诈中心提醒：凡是要求转账到安全账户的都是诈骗，请拨打96110咨询。",)),
    ("ham", "personal", 50, (
        "晚上{t}点在老地方吃饭，{p}也来",
        "{p}，明天的会改到{t}点了，记得带资料",
        "到家了吗？路上小心",
        "好的，谢谢{p}，周末见",
        "妈，我{t}点的火车，不用来接",
        "Running late, see you at {t}",
        "银行卡我放在抽屉里了，你看一下",
        "转账已经收到了，谢谢{p}",
        "今天积分兑换的水壶到了，挺好用的",
        "警察叔叔来学校讲课了，孩子可高兴了",
    )),
)  # fmt: skip


def generate() -> LabelledLog:
    """The log, built anew."""
    labelled = [*_messages(), *_calls(), *scenario.scenario(T0 + SPAN_MS // 4)]
    return LabelledLog(
        name="shipped synthetic sample",
        events=in_order(event for event, _ in labelled),
        labels={event.id: label for event, label in labelled},
        lists=scenario.lists("2026-03-01T00:00:00Z", "2027-03-01T00:00:00Z"),
    )


def load() -> LabelledLog:
    """The log as shipped."""
    lines = _read("sample.jsonl.zst").splitlines()
    return LabelledLog(
        name="shipped synthetic sample",
        events=[decode_event(line) for line in lines],
        labels=load_labels(_read("labels.jsonl.zst")),
        lists=(FOLDER / "lists.csv").read_text(encoding="ascii"),
    )


def contents(log: LabelledLog) -> dict[str, bytes]:
    """The shipped files, unpacked, by name."""
    return {
        "sample.jsonl.zst": b"".join(encode_event(event) + b"\n" for event in log.events),
        "labels.jsonl.zst": dump_labels(log.labels),
        "lists.csv": log.lists.encode(),
    }


def save(log: LabelledLog, folder: Path = FOLDER) -> None:
    """Write the shipped files."""
    folder.mkdir(exist_ok=True)
    for name, data in contents(log).items():
        packed = zstandard.ZstdCompressor(level=19).compress(data) if name.endswith(".zst") else data
        (folder / name).write_bytes(packed)


def _read(name: str) -> bytes:
    return zstandard.ZstdDecompressor().decompress((FOLDER / name).read_bytes())


def _messages() -> Iterator[tuple[Event, Label]]:
    for n in range(MESSAGES):
        key = f"sample-sms-{n:04d}"
        h = digest(key)
        label, cls, templates = _kind(h % 100)
        text = re.sub(r"\{(\w)\}", _filler(key), templates[(h >> 8) % len(templates)])
        sender = _person(h >> 16) if label == "ham" else f"+86199001{(h >> 16) % 200:05d}"
        event = SmsEvent(
            id=key,
            time=T0 + (h >> 24) % SPAN_MS,
            a_number=sender,
            b_number=_person(h >> 40),
            text=text,
            encoding="gsm7" if text.isascii() else "ucs2",
            route="p2p" if label == "ham" else "port",
        )
        yield event, Label(label, cls, SYNTHETIC)


def _kind(percent: int) -> tuple[str, str, tuple[str, ...]]:
    for label, cls, share, templates in TEMPLATES:
        if (percent := percent - share) < 0:
            return label, cls, templates
    raise AssertionError("the shares in TEMPLATES must add up to 100")


def _filler(key: str) -> Callable[[re.Match[str]], str]:
    def fill(found: re.Match[str]) -> str:
        h = digest(f"{key}#{found.start()}")
        values = {
            "n": f"{1 + h % 9}{(h >> 8) % 1000:03d}",
            "c": f"{h % 1_000_000:06d}",
            "u": f"http://{h & 0xFFFFFF:06x}.example/{h >> 24 & 0xFF:02x}",
            "p": "小" + "王李张刘陈"[h % 5],
            "t": str(1 + h % 12),
        }
        return values[found[1]]

    return fill


def _calls() -> Iterator[tuple[Event, Label]]:
    for n in range(CALLS):
        key = f"sample-call-{n:04d}"
        h = digest(key)
        a, b, time, talk = _person(h), _person(h >> 16), T0 + (h >> 24) % SPAN_MS, 1000 * (h % 300)
        ring = 2000 + h % 9000
        answer, end = time + ring, time + ring + talk
        label = Label("ham", "call", SYNTHETIC)
        yield CallEvent(id=f"{key}-1", time=time, a_number=a, b_number=b), label
        yield CallEvent(id=f"{key}-2", time=answer, a_number=a, b_number=b, phase="answered", ring_ms=ring), label
        yield CallEvent(id=f"{key}-3", time=end, a_number=a, b_number=b, phase="ended", talk_ms=talk), label


def _person(h: int) -> str:
    return f"+861990000{h % PEOPLE:04d}"


if __name__ == "__main__":
    save(generate())
