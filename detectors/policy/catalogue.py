"""The one catalogue of sentences: what a subscriber and an agent read, Chinese and English. Decisions carry codes.

A rule brings its own words with it; what is built in has them here.
"""

from __future__ import annotations

from typing import Final

from detectors.rulepack import RulePack

BUILT_IN: Final = {
    "PROTECTED": ("紧急或公共服务号码,永不拦截", "Emergency or public service number: never intercepted"),
    "LIST_BLOCK": ("号码在涉诈黑名单中", "The number is on the fraud block list"),
    "LIST_IMMUTABLE": ("号码在监管强制拦截名单中", "The number is on the regulator's block list"),
    "LIST_GREY": ("号码在可疑灰名单中", "The number is on the grey list of suspects"),
    "LIST_ALLOW": ("号码在白名单中", "The number is on the allow list"),
    "LIST_IN_TEXT": ("短信含有名单中的链接、号码或账号", "The message names a listed link, number or account"),
    "CONTENT_SHORT_LINK": ("短信含短链接,去向不明", "A short link hides where it leads"),
    "CONTENT_HIDDEN_LINK": ("短信含变形书写的链接", "A link is written so as to dodge filters"),
    "CONTENT_HIDDEN_PHONE": ("短信含变形书写的电话号码", "A phone number is written so as to dodge filters"),
    "CONTENT_MESSENGER": ("短信引导添加社交账号", "The message leads to a messenger account"),
    "CONTENT_CARD": ("短信含银行卡号", "The message names a bank card to pay to"),
    "TEXT_EVASION": ("用变形写法躲避过滤的敏感词", "A keyword is disguised to dodge filters"),
    "TEXT_EVASION_MANY": ("多个敏感词以变形写法出现", "Several keywords are disguised to dodge filters"),
    "MESSAGE_SCORE": ("统计模型判断内容很可能涉诈", "A statistical model finds the wording probably fraudulent"),
    "CAMPAIGN_HIT": ("与近期大量出现的可疑短信高度相似", "Nearly the same as suspicious messages seen often of late"),
    "CAMPAIGN_BULK": ("多个号码发送完全相同的内容", "Many numbers send exactly this text"),
    "VICTIM_CONTACTED": ("被叫近期已被多个可疑号码联系", "The callee was contacted by several risky numbers of late"),
    "VICTIM_CALLS_BACK": (
        "用户正在回拨近期联系过自己的可疑号码",
        "Somebody calls a risky number back that had contacted them",
    ),
    "SMS_FLOOD": (
        "大量服务短信短时间内涌向同一号码,疑似短信轰炸",
        "The messages of many services flood one number (SMS bombing)",
    ),
    "CLI_INVALID": ("主叫号码不符合编号规则", "The number shown is no number of the plan"),
    "CLI_MISMATCH": ("显示号码与网络侧主叫号码不一致", "The number shown is not the one the network asserts"),
    "CLI_DOMESTIC_ABROAD": ("境外来话显示境内号码", "Comes in from abroad but shows a domestic number"),
    "CLI_NEIGHBOUR": ("主叫与被叫号码高度相近,疑似仿冒", "The number shown is almost the callee's own"),
    "CLI_MIRROR": ("主叫显示为被叫本人的号码", "The call shows the callee's own number"),
    "CLI_SPECIAL": ("普通线路或境外来话冒用特服号码", "Shows a service number but is a mobile or comes from abroad"),
    "FAILED_CLOSED": (
        "检测暂不完整,按故障策略从严处理",
        "Not all checks could be made; until they can, caution comes first",
    ),
    "LIST_BLOCK_CALLEE": ("对方号码在涉诈黑名单中", "The called number is on the fraud block list"),
}


def words(rules: RulePack) -> dict[str, tuple[str, str]]:
    """Symbol -> (Chinese, English) for every symbol that can appear in a decision."""
    return BUILT_IN | {rule.id: (rule.zh, rule.en) for rule in rules.rules}
