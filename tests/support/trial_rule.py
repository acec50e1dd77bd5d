"""The shipped sample, and a rule on trial that is not in the shipped pack."""

from __future__ import annotations

from loadtest import sample

LOG, LISTS, LABELS = (str(sample.FOLDER / name) for name in ("sample.jsonl.zst", "lists.csv", "labels.jsonl.zst"))
TRIAL = """
[[rule]]
id = "TEXT_TRIAL"
version = 1
class = "loan"
zh = "试用规则"
en = "A rule on trial"
source = "written for this test"
all = [["验证码"]]
positives = ["验证码 1234", "您的验证码"]
near_misses = ["验证", "号码"]
"""
