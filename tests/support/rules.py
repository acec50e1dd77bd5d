"""A small rule pack, for tests whose subject is not the shipped rules."""

from __future__ import annotations

TEXT = """
[[rule]]
id = "TEXT_BANK"
version = 3
class = "phishing"
zh = "冒充银行催兑积分"
en = "Poses as a bank urging redemption of points"
source = "written for this test"
all = [["工商银行", "建设银行"], ["积分"]]
positives = ["【工商银行】您的積 分即将过期", "建设银行积分"]
near_misses = ["工商银行提醒您注意账户安全", "积分商城"]

[[rule]]
id = "TEXT_NOTICE"
version = 1
class = "notice"
zh = "反诈宣传"
en = "Anti-fraud notice"
source = "written for this test"
all = [["反诈中心"]]
positives = ["国家反诈中心提醒", "反诈中心"]
near_misses = ["中心", "反诈"]
"""

BEHAVIOUR = """
window_seconds = 600

[[rule]]
id = "CALL_BURST"
version = 1
measure = "attempts"
threshold = 5
zh = "呼叫次数异常"
en = "Unusually many attempts"

[[rule]]
id = "CALL_FANOUT"
version = 2
measure = "distinct_callees"
threshold = 4
zh = "呼叫大量不同号码"
en = "Many different callees"
"""

POLICY = """
version = 7
[ladder]
label = 20
warn = 40
challenge = 55
delay = 70
restrict = 85
block = 100
[groups]
text = {cap = 90}
list = {cap = 200}
behaviour = {cap = 60}
[symbols]
LIST_BLOCK = {weight = 100, group = "list", ceiling = "block"}
LIST_GREY = {weight = 35, group = "list", ceiling = "challenge"}
LIST_BLOCK_CALLEE = {weight = 45, group = "list", ceiling = "warn"}
CALL_BURST = {weight = 50, group = "behaviour", ceiling = "challenge"}
CALL_FANOUT = {weight = 50, group = "behaviour", ceiling = "challenge"}
[[composite]]
id = "COMP_GREY_TEXT"
version = 1
all = ["LIST_GREY", "group:text"]
weight = 30
group = "list"
ceiling = "block"
zh = "可疑号码发送诈骗话术"
en = "A grey-listed number with a fraud text"
"""

WEIGHTS = """
[symbols]
TEXT_BANK = {weight = 60, group = "text", ceiling = "delay"}
TEXT_NOTICE = {weight = -80, group = "text", ceiling = "label"}
"""


def files(
    text: str = TEXT, behaviour: str = BEHAVIOUR, policy: str = POLICY, weights: str = WEIGHTS
) -> dict[str, bytes]:
    """The pack as ``load_rules`` takes it."""
    named = {"text/small.toml": text, "behaviour.toml": behaviour, "policy.toml": policy, "weights.toml": weights}
    return {name: content.encode() for name, content in named.items()}
