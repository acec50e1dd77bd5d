"""`lanjie rules` where no Kafka is asked."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner, Result

from stream.cli import main
from tests.support.rules import TEXT, files


def lanjie(*args: object) -> Result:
    return CliRunner().invoke(main, ["rules", *map(str, args)])


def folder(path: Path, small: dict[str, bytes]) -> Path:
    for name, data in small.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def test_the_shipped_pack_passes_its_test():
    result = lanjie("test")
    assert (result.exit_code, result.stderr) == (0, "")
    assert [line.split()[-1] for line in result.stdout.splitlines()][-1] == "0"


def test_all_proofs_that_fail_are_told_not_only_the_first(tmp_path: Path):
    wrong = TEXT.replace('"建设银行积分"', '"农业银行积分", "招商银行积分"').replace(
        '"中心", "反诈"', '"中心", "反诈中心"'
    )
    result = lanjie("test", "--rules", folder(tmp_path, files(text=wrong)))
    assert result.exit_code == 1
    assert [line.partition(": ")[2] for line in result.stderr.splitlines()[:3]] == [
        "$.rule[TEXT_BANK].positives[1]: not matched: '农业银行积分'",
        "$.rule[TEXT_BANK].positives[2]: not matched: '招商银行积分'",
        "$.rule[TEXT_NOTICE].near_misses[1]: matched: '反诈中心'",
    ]
    assert result.stderr.startswith("text/small.toml:3: ")
    assert result.stdout.splitlines() == [
        "rules              5",
        "positives          5",
        "near misses        4",
        "failures           3",
    ]


def test_a_pack_that_cannot_be_read_is_told_in_one_line(tmp_path: Path):
    result = lanjie("test", "--rules", folder(tmp_path, files(text=TEXT.replace("version = 3", 'version = "3"'))))
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "text/small.toml:4" in result.stderr


def test_every_verb_has_help():
    listed = [line.split()[0] for line in lanjie("--help").stdout.partition("Commands:\n")[2].splitlines()]
    assert {"lint", "publish", "rollback", "promote", "demote", "cap", "show", "status", "history", "diff", "test"} <= {
        *listed
    }
    for verb in listed:
        assert lanjie(verb, "--help").exit_code == 0
