import pytest

from detectors.lists import Entry, ListKind, parse_lines


def parse(text):
    found = list(parse_lines(text.splitlines(), kind=ListKind.BLOCK, source="file", where="list.csv"))
    return [f for f in found if isinstance(f, Entry)], [str(f) for f in found if not isinstance(f, Entry)]


def test_plain_text_takes_kind_and_source_from_the_caller():
    entries, errors = parse("13800001234\n\n+41 21 560 12 34\n+4121560####\n170*\n1069%\n")
    assert errors == []
    assert [entry.pattern for entry in entries] == [
        "+8613800001234",
        "+41215601234",
        "+41215600000-+41215609999",
        "+86170*",
        "1069*",
    ]
    assert {(e.provenance.kind, e.provenance.source) for e in entries} == {(ListKind.BLOCK, "file")}


def test_csv_columns_in_any_order():
    entries, errors = parse(
        "number,expires,list,weight,source,reason,added\n"
        "13800001234,2026-12-01,grey,40.5,police,reported,2026-11-01T00:00:00+08:00\n"
    )
    assert errors == []
    provenance = entries[0].provenance
    assert (provenance.kind, provenance.weight, provenance.source, provenance.reason) == (
        ListKind.GREY, 40.5, "police", "reported",
    )  # fmt: skip
    assert provenance.added == 1_793_462_400_000  # 2026-10-31T16:00:00Z
    assert provenance.expires == 1_796_083_200_000  # 2026-12-01T00:00:00Z


def test_json_lines():
    entries, errors = parse('{"number":"13800001234","list":"allow","weight":3}\n{"number":"x"\n')
    assert entries[0].provenance.kind is ListKind.ALLOW
    assert errors == ["list.csv:2: neither a CSV row nor a JSON object with a text number"]
    assert parse('{"number":13800001234.0}')[1]


@pytest.mark.parametrize(
    ("written", "prefix"),
    [("0731*", "+86731"), ("86138*", "+86138"), ("0086139*", "+86139"), ("１３８*", "+86138"), ("400*", "+86400"),
     ("0041215*", "+41215"), ("951*", "951")],
)  # fmt: skip
def test_a_prefix_is_written_as_numbers_begin(written, prefix):
    entries, _ = parse(written)
    assert [entry.number for entry in entries] == [prefix]


def test_a_row_that_is_no_csv_is_one_error():
    entries, errors = parse('number,list\n13800001234,"' + "x" * 200_000 + "\n13800001235,grey\n")
    assert len(entries) == 1
    assert len(errors) == 1


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("abc,,,,,,", "$.number"),
        ("0,,,,,,", "$.number"),
        ("1*,,,,,,", "$.number: prefix '1' is shorter"),
        ("13800001234,red,,,,,", "$.list: 'red' is no list; expected one of grey, block, allow, immutable, protected"),
        ("13800001234,grey,13900005678,,,,", "$.weight: (hidden, 11 characters)"),
        ("13800001234,王小明,,,,,", "$.list: (hidden, 3 characters)"),
        ("13800001234,grey,heavy,,,,", "$.weight: 'heavy'"),
        ("13800001234,grey,-1,,,,", "$.weight: '-1'"),
        ("13800001234,grey,,,,soon,", "$.added: 'soon'; expected ISO 8601"),
    ],
)
def test_a_bad_line_is_refused_with_file_and_line(row, says):
    entries, errors = parse("number,list,weight,reason,source,added,expires\n" + row)
    assert entries == []
    assert errors[0].startswith("list.csv:2: ")
    assert says in errors[0]
    assert "13800001234" not in errors[0]
