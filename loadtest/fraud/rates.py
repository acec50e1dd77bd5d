"""How much of everything a fraud operation does, per card and day unless the unit says otherwise, and who says so.

``intensity`` in the settings multiplies the volumes (calls, messages), nothing else. What nobody has published is
``ASSUMED``, and says so here rather than nowhere.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from loadtest.fraud.sichuan import fraud


class Rate(NamedTuple):
    """A number, what it counts, and where it comes from."""

    value: float
    unit: str
    source: str


ASSUMED: Final = "assumed: no published figure"
SICHUAN: Final = "Sichuan fraud numbers, {} quantile of {} (sichuan.py)"
MURYNETS: Final = "Murynets et al., INFOCOM 2014: very many outgoing calls from a static place; the figure is assumed"
NINGBO: Final = "police of Zhenhai in Ningbo Daily, 19 June 2014: one fake base station, 80,000 messages in half a day"
BLACK_SWAN: Final = "Black Swan Telecom Journal, August 2014: a box holds 8 to 32 cards"
SHENZHEN: Final = "police of Shenzhen, 8 July 2021: a GoIP device takes over a hundred cards; a small one is assumed"
HUNAN: Final = "sign of risk named at the press conference of Hunan, 10 June 2022; the figure is assumed"
FIVE: Final = "MIIT's limit is five cards of an operator for one identity; the figure is assumed"
WANGIRI: Final = "FCC and trade press: machines ring thousands of numbers an hour; spread over eight numbers"
BOMBING: Final = "public warnings: hundreds of codes within minutes; the figure is assumed"

A_DAY: Final = "a card and day"
SHARE: Final = "share"
SECONDS: Final = "seconds, median"


def _sichuan(feature: str, quantile: float, unit: str) -> Rate:
    return Rate(fraud(feature, quantile), unit, SICHUAN.format(quantile, feature))


def _assumed(value: float, unit: str) -> Rate:
    return Rate(value, unit, ASSUMED)


#: Of any call to a stranger.
COMMON: Final = {
    "talk": _sichuan("talk_s_median", 0.5, SECONDS),
    "handsets": _sichuan("handsets", 0.5, "handsets that a card is seen in"),
    "hooked": _assumed(0.03, "share of answered calls after which the victim is worked on"),
    "called_back": _assumed(0.04, "share of missed calls that are returned"),
    "replied": _assumed(0.02, "share of messages that get an answer"),
    "codes": _assumed(2.0, "verification codes that a victim is walked through, mean"),
}

RATES: Final[dict[str, dict[str, Rate]]] = {
    "police": {
        "calls": _sichuan("calls_out_a_day", 0.5, A_DAY),
        "spoofed": _assumed(0.4, "share of calls that show a number like 110"),
        "long": _assumed(2400, SECONDS),
    },
    "customer_service": {
        "calls": _sichuan("calls_out_a_day", 0.75, A_DAY),
        "long": _assumed(1500, SECONDS),
    },
    "boss": {
        "messages": _assumed(8, A_DAY),
        "replied": _assumed(0.3, "share of employees who answer their boss"),
        "long": _assumed(180, SECONDS),
    },
    "loan": {
        "messages": _sichuan("sms_a_day", 0.9, A_DAY),
        "calls": _sichuan("calls_out_a_day", 0.5, A_DAY),
        "long": _assumed(420, SECONDS),
    },
    "refund": {
        "calls": _sichuan("calls_out_a_day", 0.5, A_DAY),
        "long": _assumed(900, SECONDS),
    },
    "order_brushing": {
        "messages": _sichuan("sms_a_day", 0.9, A_DAY),
        "long": _assumed(240, SECONDS),
    },
    "gambling_sms": {"messages": _sichuan("sms_a_day", 0.99, A_DAY)},
    "fake_base_station": {"messages": Rate(80_000 / 12, "a device and hour", NINGBO), "asked": _assumed(0.002, SHARE)},
    "wangiri": {
        "calls": Rate(250, "a card and hour", WANGIRI),
        "called_back": _assumed(0.04, "share of rings that are returned"),
        "held": _assumed(35, SECONDS),
    },
    "sim_box": {
        "cards": Rate(32, "cards of a box", BLACK_SWAN),
        "calls": Rate(120, A_DAY, MURYNETS),
        "talk": _assumed(150, SECONDS),
        "answered": _assumed(0.7, "share of calls, which are expected"),
    },
    "goip": {
        "cards": Rate(32, "cards of a device", SHENZHEN),
        "calls": _sichuan("calls_out_a_day", 0.9, A_DAY),
        "allocated": _assumed(0.6, "share of the numbers in a row that somebody has"),
        "long": _assumed(600, SECONDS),
    },
    "bulk_cards": {
        "cards": Rate(40, "cards sold by one agent within minutes", HUNAN),
        "messages": _sichuan("sms_a_day", 0.9, A_DAY),
    },
    "many_cards": {
        "cards": Rate(12, "cards of one identity", FIVE),
        "calls": _sichuan("calls_out_a_day", 0.5, A_DAY),
        "long": _assumed(600, SECONDS),
    },
    "woken_cards": {
        "calls": _sichuan("calls_out_a_day", 0.75, A_DAY),
        "long": _assumed(900, SECONDS),
    },
    "roaming": {
        "calls": _sichuan("calls_out_a_day", 0.75, A_DAY),
        "long": _assumed(900, SECONDS),
    },
    "account_rental": {"messages": _sichuan("sms_a_day", 0.9, A_DAY)},
    "sms_bombing": {
        "messages": Rate(300, "a victim", BOMBING),
        "minutes": Rate(10, "of one bombardment", BOMBING),
    },
}


def rate(pattern: str, name: str) -> float:
    """A rate of the pattern, or of all patterns if it has none of its own."""
    return (RATES[pattern].get(name) or COMMON[name]).value
