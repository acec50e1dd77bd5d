"""Where a number is from: province, city and carrier of Chinese mobiles, country of the others. Only to explain."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

from msgspec import Struct
from phone import Phone
from phonenumbers import NumberParseException, parse, region_code_for_number

from detectors.model.numbers import Canonical

_CARRIERS = {
    "移动": "China Mobile",
    "联通": "China Unicom",
    "电信": "China Telecom",
    "广电": "China Broadnet",
}


class Region(Struct, frozen=True):
    """Of a number's allocation; a ported or roaming number is elsewhere."""

    country: str  #: ISO 3166
    province: str = ""
    city: str = ""
    area_code: str = ""
    carrier: str = ""  #: as allocated; ``虚拟`` in it for a virtual operator

    @property
    def zh(self) -> str:
        """``湖南长沙 移动``."""
        place = self.province if self.province == self.city else self.province + self.city
        return f"{place} {self.carrier}".strip() or self.country

    @property
    def en(self) -> str:
        """``CN 湖南长沙, China Mobile``."""
        carrier = next((en for zh, en in _CARRIERS.items() if zh in self.carrier), self.carrier)
        place = self.province if self.province == self.city else self.province + self.city
        virtual = " (virtual)" if "虚拟" in self.carrier else ""
        return f"{self.country} {place}, {carrier}{virtual}" if place else self.country


@cache
def _prefixes() -> Any:
    return Phone()  # PyPI `phone`: 499,527 prefixes of seven digits; 4 MB, read when first asked


@lru_cache(maxsize=1 << 12)
def describe(number: Canonical) -> Region | None:
    """The region of a canonical number; None for service codes and what is no number."""
    if not number.startswith("+"):
        return None
    if number.startswith("+861") and len(number) == 14 and (found := _prefixes().find(number[3:])):
        return Region("CN", found["province"], found["city"], found["area_code"], found["phone_type"])
    try:
        country = region_code_for_number(parse(number))
    except NumberParseException:
        return None
    return Region(country) if country else None
