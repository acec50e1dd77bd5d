"""How much of everything a fraud operation does, per card and day unless the unit says otherwise, and who says so.

``intensity`` in the settings multiplies the volumes (calls, messages), nothing else. Where somebody has published a
figure, it is the rate, and ``source`` names who. Where nobody has, ``source`` begins with ``ASSUMED`` and says why
this and not another; what detection owes to such a guess is measured in the README of loadtest.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from loadtest.fraud.sichuan import fraud
from loadtest.sim.fitted import ANSWERED


class Rate(NamedTuple):
    """A number, what it counts, and where it comes from."""

    value: float
    unit: str
    source: str


ASSUMED: Final = "assumed, no published figure: "
SICHUAN: Final = "Sichuan fraud numbers, {} quantile of {} (sichuan.py)"
TU: Final = "Tu et al., USENIX Security 2019: of 3,000 called, 148 entered a part of their social security number"
WUXI: Final = (
    "police of Wuxi, Xinhua 27 September 2018: 362 of 2,242 cases of telecom fraud with a changed number; all kinds"
)
MIRAMIRKHANI: Final = (
    "Miramirkhani et al., NDSS 2017: 60 calls with support scammers, 17 minutes until they ask for money"
)
NINGBO: Final = "police of Zhenhai in Ningbo Daily, 19 June 2014: one fake base station, 80,000 messages in half a day"
BENGALURU: Final = (
    "police of Bengaluru in Mint, 6 March 2023: 30 boxes with 960 cards; a box holds 8 to 32 (Black Swan 2014)"
)
COPENHAGEN: Final = "answered calls of the Copenhagen log (sim/fitted.py), as these callers are expected"
LIMIT: Final = "the limit of five cards of each of three operators for one identity, Zhoushan Daily, 2 July 2019"
WANGIRI: Final = "FCC and trade press: machines ring thousands of numbers an hour; spread over eight numbers"
BOMBED: Final = "a victim of Shenzhen in Guangming Daily, 25 November 2021: one a second for 20 minutes, over 1,000"

A_DAY: Final = "a card and day"
SHARE: Final = "share"
SECONDS: Final = "seconds, median"


def _sichuan(feature: str, quantile: float, unit: str) -> Rate:
    return Rate(fraud(feature, quantile), unit, SICHUAN.format(quantile, feature))


def _assumed(value: float, unit: str, why: str) -> Rate:
    return Rate(value, unit, ASSUMED + why)


def _long(minutes: float, why: str) -> Rate:
    """How long who is hooked is kept on the line."""
    return _assumed(60 * minutes, SECONDS, why)


#: Of any call to a stranger.
COMMON: Final = {
    "talk": _sichuan("talk_s_median", 0.5, SECONDS),
    "handsets": _sichuan("handsets", 0.5, "handsets that a card is seen in"),
    "hooked": Rate(148 / 3000, "share of answered calls after which the victim is worked on", TU),
    "called_back": _assumed(0.04, "share of missed calls that are returned", "few; Switch TV Kenya 2022 says 1 in 10"),
    "replied": _assumed(
        0.02, "share of messages that get an answer",
        "of 265 who had agreed to a trial 17 % clicked, replied or called (arXiv 2212.13312); strangers do less",
    ),
    "codes": _assumed(2.0, "verification codes that a victim is walked through, mean", "one to log in, one to pay"),
}  # fmt: skip

RATES: Final[dict[str, dict[str, Rate]]] = {
    "police": {
        "calls": _sichuan("calls_out_a_day", 0.5, A_DAY),
        "spoofed": Rate(362 / 2242, "share of calls that show a number like 110", WUXI),
        "long": _long(40, "case reports tell of hours, over several calls; none gives a mean"),
    },
    "customer_service": {
        "calls": _sichuan("calls_out_a_day", 0.75, A_DAY),
        "long": Rate(17 * 60, SECONDS, MIRAMIRKHANI),
    },
    "boss": {
        "messages": _assumed(8, A_DAY, "it writes to the employees of one firm after another"),
        "replied": _assumed(0.3, "share of employees who answer their boss", "more than answer strangers"),
        "long": _long(3, "an order to pay, no persuasion"),
    },
    "loan": {
        "messages": _sichuan("sms_a_day", 0.9, A_DAY),
        "calls": _sichuan("calls_out_a_day", 0.5, A_DAY),
        "long": _long(7, "a form is filled in together"),
    },
    "refund": {
        "calls": _sichuan("calls_out_a_day", 0.5, A_DAY),
        "long": Rate(17 * 60, SECONDS, MIRAMIRKHANI),
    },
    "order_brushing": {
        "messages": _sichuan("sms_a_day", 0.9, A_DAY),
        "long": _long(4, "the work is done in a chat, not on the phone"),
    },
    "gambling_sms": {"messages": _sichuan("sms_a_day", 0.99, A_DAY)},
    "fake_base_station": {
        "messages": Rate(80_000 / 12, "a device and hour", NINGBO),
        "asked": _assumed(0.002, SHARE, "the link does the work; hardly anybody calls"),
    },
    "wangiri": {
        "calls": Rate(250, "a card and hour", WANGIRI),
        "called_back": _assumed(0.04, "share of rings that are returned", "as any missed call"),
        "held": _assumed(35, SECONDS, "until one notices the music"),
    },
    "sim_box": {
        "cards": Rate(960 / 30, "cards of a box", BENGALURU),
        "calls": _assumed(
            120, A_DAY, "Murynets et al., INFOCOM 2014, tell of very many from one place and print no mean"
        ),
        "talk": _assumed(150, SECONDS, "families abroad talk longer than neighbours"),
        "answered": Rate(ANSWERED, "share of calls", COPENHAGEN),
    },
    "goip": {
        "cards": _assumed(32, "cards of a device", "a small one; police of Shenzhen, 8 July 2021: over a hundred"),
        "calls": _sichuan("calls_out_a_day", 0.9, A_DAY),
        "allocated": _assumed(
            0.6, "share of the numbers in a row that somebody has", "no operator tells how full its blocks are"
        ),
        "long": _long(10, "between a loan and a refund"),
    },
    "bulk_cards": {
        "cards": _assumed(
            40, "cards sold by one agent within minutes", "Hunan, 10 June 2022, names the sign, not its size"
        ),
        "messages": _sichuan("sms_a_day", 0.9, A_DAY),
    },
    "many_cards": {
        "cards": Rate(15, "cards of one identity", LIMIT),
        "calls": _sichuan("calls_out_a_day", 0.5, A_DAY),
        "long": _long(10, "between a loan and a refund"),
    },
    "woken_cards": {
        "calls": _sichuan("calls_out_a_day", 0.75, A_DAY),
        "long": Rate(17 * 60, SECONDS, MIRAMIRKHANI),
    },
    "roaming": {
        "calls": _sichuan("calls_out_a_day", 0.75, A_DAY),
        "long": Rate(17 * 60, SECONDS, MIRAMIRKHANI),
    },
    "account_rental": {"messages": _sichuan("sms_a_day", 0.9, A_DAY)},
    "sms_bombing": {
        "messages": Rate(1_000, "a victim", BOMBED),
        "minutes": Rate(20, "of one bombardment", BOMBED),
    },
}


def rate(pattern: str, name: str) -> float:
    """A rate of the pattern, or of all patterns if it has none of its own."""
    return (RATES[pattern].get(name) or COMMON[name]).value
