"""What a browser makes of the pages: nothing is fetched, all can be read, and the numbers are those of the JSON."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream.backtest.affected import CHANGES
from stream.backtest.found import SIDES
from stream.backtest.page import name_of
from stream.cli.loadtest_view import share

LOOKS = (Path(__file__).parent / "looks.js").read_text(encoding="utf-8")
PHONE, DESK = 390, 1440
#: What is printable of A4 with margins of 16 mm, in CSS pixels of 1/96 inch; a table of nine columns lies across.
UPRIGHT, ACROSS, COLUMNS_ACROSS = 672, 1001, 9


@pytest.fixture(params=["backtest", "report", pytest.param("loadtest", marks=pytest.mark.kafka)])
def made(request):
    return request.getfixturevalue(f"{request.param}_page")


@pytest.fixture
def opened(chromium, made):
    """Opens the page; whatever it asks for or complains of fails the test."""
    contexts, asked, said = [], [], []

    def open_page(width, *, dark=False, media="screen"):
        context = chromium.new_context(viewport={"width": width, "height": 800})
        contexts.append(context)
        page = context.new_page()
        page.emulate_media(color_scheme="dark" if dark else "light", media=media)
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(made.html.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert (set(asked), said) == ({made.html.as_uri()}, [])


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, DESK])
def test_all_can_be_read(opened, width, dark):
    looks = opened(width, dark=dark).evaluate(LOOKS)
    assert looks["pageWidth"] <= looks["windowWidth"] == width
    assert looks["lang"] == "en"
    assert {name: looks[name] for name in ("unlabelledChinese", "faint", "small", "cramped")} == {
        "unlabelledChinese": [], "faint": [], "small": [], "cramped": []
    }  # fmt: skip
    assert (looks["mute"], looks["headless"]) == (0, 0)


def test_what_is_too_wide_is_reached_with_the_keyboard(opened):
    page = opened(PHONE)
    wide = page.locator(".wide")
    too_wide = [part for part in wide.all() if part.evaluate("part => part.scrollWidth > part.clientWidth")]
    assert too_wide
    for part in too_wide:
        part.focus()
        page.keyboard.press("ArrowRight")
        page.wait_for_function("part => part.scrollLeft > 0", arg=part.element_handle())


def test_nothing_is_cut_off_on_paper(opened):
    for width, across in ((UPRIGHT, False), (ACROSS, True)):
        page = opened(width, media="print")
        assert page.locator("section table").count() >= 3
        cut = page.evaluate(LOOKS)["cut"]
        assert [title for columns, title in cut if (columns >= COLUMNS_ACROSS) is across] == []


def test_a_page_without_scripts_and_with_a_policy_that_lets_nothing_in(opened):
    page = opened(DESK)
    assert page.locator("script").count() == 0
    policy = page.locator("meta[http-equiv=Content-Security-Policy]").get_attribute("content")
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"


def test_no_number_of_anybody_is_on_it(opened, made):
    assert len(made.numbers) > 500
    source = opened(DESK).content()
    assert [number for number in made.numbers if number in source] == []


def figures(page):
    """Headline numbers by what they count."""
    pairs = page.locator("dl > div").all()
    return {pair.locator("dt").inner_text(): pair.locator("dd").inner_text() for pair in pairs}


def rows(page, title):
    """The rows of the table under a heading."""
    part = page.locator("section", has=page.get_by_role("heading", name=title, exact=True))
    return [row.locator("th, td").all_inner_texts() for row in part.locator("tbody tr").all()]


@pytest.mark.parametrize("made", ["backtest"], indirect=True)
def test_the_numbers_of_a_backtest_are_those_of_its_json(opened, made):
    page, found = opened(DESK), made.figures
    assert figures(page)["subscribers newly blocked"] == f"{found['changed_subscribers']['newly_blocked']:,}"
    assert figures(page)["events"] == f"{found['events']:,}"
    assert rows(page, "What becomes of events and subscribers") == [
        [kind.replace("_", " "), f"{found['changed_events'][kind]:,}", f"{found['changed_subscribers'][kind]:,}"]
        for kind in CHANGES
    ]
    by_rule = {row[0]: row[1:9] for row in rows(page, "By rule")}
    assert by_rule == {
        name_of(row): [f"{n:,}" for n in (
            *(row[what][side] for what in ("fired", "alone") for side in SIDES), *(row[kind] for kind in CHANGES)
        )]
        for row in found["rules"]
    }  # fmt: skip
    masked = [row["subscriber"] for row in found["subscribers"]["newly_blocked"]]
    assert [row[0] for row in rows(page, "Newly blocked subscribers")] == masked != []


@pytest.mark.parametrize("made", ["report"], indirect=True)
def test_the_numbers_of_a_report_are_those_of_its_json(opened, made):
    page = opened(DESK)
    assert figures(page) == {name: f"{value:,}" for name, value in made.figures["headline"].items()}
    all_reasons = [each for each in made.figures["figures"] if each["figure"] == "reasons" and not each["part"]]
    counts = {each["of"]: f"{each['value']:,}" for each in all_reasons}
    shown = {code: count for code, _, _, count in rows(page, "Reasons")}
    assert len(shown) == min(20, len(counts))
    assert shown.items() <= counts.items()


@pytest.mark.kafka
@pytest.mark.parametrize("made", ["loadtest"], indirect=True)
def test_the_numbers_of_a_load_test_are_those_of_its_json(opened, made):
    page, found = opened(DESK), made.figures
    assert figures(page)["events"] == f"{found['counts']['published']:,}"
    assert figures(page)["latency p99"] == f"{found['latency_ms']['p99']:,} ms"
    caught = {row[0]: (row[1], row[2]) for row in rows(page, "What was caught: warn or more")}
    patterns = found["detection"]["patterns"]
    assert caught == {name: (f"{row['events']['of']:,}", share(row["events"])) for name, row in patterns.items()}
    assert len(caught) == 17
