"""A page needs nothing else, escapes everything, and is the same bytes for the same content."""

import re
import sys
import xml.etree.ElementTree as ET
from datetime import datetime, timedelta
from html.parser import HTMLParser
from zoneinfo import ZoneInfo

import pytest

from stream.reports.page import Page, ReportError, bars, lines, shown

EVIL = "<script>alert('x')</script> & \"q\""
DAYS = [datetime(2026, 3, 1, tzinfo=ZoneInfo("Asia/Shanghai")) + timedelta(days=n) for n in range(5)]
_VOID = {"meta", "link", "br"}


class Tags(HTMLParser):
    """Tags, texts and attributes of a page; fails where tags do not nest."""

    def __init__(self, html):
        super().__init__()
        self.open, self.seen, self.texts, self.attributes = [], [], [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def full(word="Back-test"):
    page = Page(word, word)
    page.figures([(word, "1,234"), ("新封停", word)])
    page.text(word)
    page.table(word, (word, "n"), [(word, 1), ("x", 2)], word)
    page.plot(word, lines(DAYS, {word: [1, 2, 3, 4, 5], "b": [5, 4, 3, 2, 1]}, y_label=word), word)
    page.plot("bars", bars([word, "短"], {word: [1, 2], "b": [3, 4]}, unit=word))
    return page.render()


def test_everything_is_escaped():
    tags = Tags(full(EVIL))
    assert "script" not in tags.seen
    own, table, drawn = 6, 4, 7  # title twice; heading, column, cell, note; heading, note, and five words in drawings
    assert sum(EVIL in text for text in tags.texts) == own + table + drawn
    assert ("figure", "aria-label", EVIL) in tags.attributes


def test_it_needs_nothing_else():
    html = full()
    tags = Tags(html)
    assert not {"script", "link", "img", "iframe", "object", "embed"} & set(tags.seen)
    fetched = [
        (tag, name) for tag, name, value in tags.attributes if name in ("src", "href") and not value.startswith("#")
    ]
    assert fetched == []
    css = "".join(re.findall(r"<style>(.*?)</style>", html, re.DOTALL))
    assert "@import" not in css
    assert "url(" not in css
    assert "prefers-color-scheme: dark" in css
    assert "@media print" in css


def test_the_same_content_is_the_same_bytes():
    assert full("短信") == full("短信")
    assert not re.search(r"<dc:date>|20[0-9]{2}-[0-9]{2}-[0-9]{2}T", full())


def test_drawings_are_whole_and_their_words_are_texts():
    html = full("冒充银行 $a$")
    drawings = re.findall(r"<svg.*?</svg>", html, re.DOTALL)
    assert len(drawings) == 2
    nodes = [node for svg in drawings for node in ET.fromstring(svg).iter()]  # noqa: S314 - ours
    texts = [node.text for node in nodes if node.tag.endswith("}text")]
    assert texts.count("冒充银行 $a$") == 5, "two labels of axes, two of series, one of a bar: none a formula"


@pytest.mark.parametrize(
    ("cell", "text"),
    [(1234567, "1,234,567"), (0, "0"), (-5000, "-5,000"), (0.25, "0.25"), (1234.5, "1,234.5"), (100.0, "100"),
     (None, "-"), (True, "True"), ("1234", "1234"), ("冒充", "冒充")],
)  # fmt: skip
def test_cells(cell, text):
    assert shown(cell) == text


def test_columns_of_numbers_are_right_aligned():
    page = Page("t")
    rows = [("a1", 1, "97.2% (96.6-97.8)", "2026-03-01"), ("b", None, "3 %", "2026-03-02")]
    page.table("t", ("name", "n", "share", "day"), rows)
    heads = re.findall(r'<th scope="col" class="(\w+)">(\w+)</th>', page.render())
    assert heads == [("short", "name"), ("right", "n"), ("right", "share"), ("short", "day")]


def test_a_column_with_a_long_cell_has_lines_and_chinese_counts_double():
    page = Page("t")
    rows = [("x" * 33, "字" * 17, "a\n" * 40, "12 / -"), ("x", "字", "b", "- / 3,000")]
    page.table("t", ("latin", "han", "lines", "pair"), rows)
    heads = re.findall(r'<th scope="col" class="(\w+)">', page.render())
    assert heads == ["long", "long", "short", "right"]


def test_chinese_is_told_to_who_reads_aloud():
    page = Page("t")
    page.table("t", ("原因", "reason"), [("冒充银行，积分兑现 / Poses as a bank <b>", 1)])
    html = page.render()
    assert '<html lang="en">' in html
    assert '<span lang="zh-CN">原因</span>' in html
    assert '<span lang="zh-CN">冒充银行，积分兑现</span> / Poses as a bank &lt;b&gt;' in html


def test_bars_of_one_series_say_their_value_and_stacked_ones_differ_in_more_than_colour():
    one, two = Page("t"), Page("t")
    one.plot("p", bars(["a", "b"], {"share": [57.14, 1234.0]}))
    two.plot("p", bars(["a"], {"x": [1], "y": [2]}))
    assert [text in one.render() for text in (">57.1<", ">1,234<")] == [True, True]
    assert ("<pattern" in one.render(), "<pattern" in two.render()) == (False, True)


def test_lines_begin_at_zero():
    page = Page("t")
    page.plot("p", lines([1, 2], {"rate": [1_900.0, 2_100.0]}))
    assert ">0<" in page.render()


def test_an_interval_is_set_small():
    page = Page("t")
    page.figures([("share", "3.2% (2.6-3.9)"), ("events", "1,234")])
    html = page.render()
    assert "<dd>3.2% <small>(2.6-3.9)</small></dd>" in html
    assert "<dd>1,234</dd>" in html


def test_a_table_of_nothing_and_a_line_of_one_point():
    page = Page("t")
    page.table("t", ("a", "b"), [])
    page.plot("one", lines(DAYS[:1], {"a": [1]}))
    page.plot("none", bars([], {"a": []}))
    Tags(page.render())


@pytest.mark.parametrize("package", ["jinja2", "matplotlib.figure"])
def test_without_the_extra_it_is_said_what_to_install(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ReportError, match=rf"{package} is missing; .*pip install 'lanjie\[reports\]'"):
        full()


def test_a_file_that_cannot_be_written_is_told(tmp_path):
    with pytest.raises(ReportError, match="expected a file that can be written"):
        Page("t").write(tmp_path / "no" / "such.html")
    Page("警示").write(tmp_path / "a.html")
    assert "警示" in (tmp_path / "a.html").read_text(encoding="utf-8")
