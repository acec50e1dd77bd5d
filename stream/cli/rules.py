"""`lanjie rules`: look into the rule pack, and keep its generated files in order.

What needs Kafka stands in modules beside this one, imported on use: the process that compiles for a worker waits for
none of it.
"""

from __future__ import annotations

import importlib
import os
import pickle
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from detectors.keywords.automaton import Automaton
from detectors.keywords.expand import KINDS, expand
from detectors.model.errors import LanjieError, RuleError
from detectors.policy import Policy
from detectors.rulepack import RulePack, lock
from detectors.rulepack.keywords import FORMS, KEYWORDS, Keyword, KeywordFile, write_forms
from detectors.rulepack.load import read_table
from stream.clock import SystemClock
from stream.rule_files import pack_files, read_pack, shipped
from stream.wire import dump_json

FOLDER_TYPE: Final = click.Path(file_okay=False, exists=True, path_type=Path)
FOLDER: Final = click.option("--rules", "folder", type=FOLDER_TYPE, help="Folder of a rule pack.")
_ELSEWHERE: Final = {
    "stream.cli.rules_changes": ("publish", "rollback", "promote", "demote", "cap"),
    "stream.cli.rules_shown": ("show", "status", "history", "diff"),
    "stream.cli.rules_trial": ("test",),
}
_MODULES: Final = {verb: module for module, verbs in _ELSEWHERE.items() for verb in verbs}


class _Group(click.Group):
    """Imports the verbs of other modules when they are called, or listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Ours, then theirs."""
        return [*super().list_commands(ctx), *_MODULES]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import it if it is elsewhere."""
        if (module := _MODULES.get(cmd_name)) is None:
            return super().get_command(ctx, cmd_name)
        command: click.Command = getattr(importlib.import_module(module), cmd_name)
        return command


@click.group(cls=_Group)
def rules() -> None:
    """The rule pack: lint, publish, promote, roll back."""


@rules.command()
@FOLDER
def lint(*, folder: Path | None) -> None:
    """Check a rule pack: its tables, its proofs through the automaton, its weights, its lock."""
    pack, automaton = in_order(folder)
    proofs = sum(len(rule.positives) + len(rule.near_misses) for rule in pack.text)
    click.echo(f"{len(pack.rules):,} rules, {automaton.size:,} patterns, {proofs:,} proofs: in order, {pack.version}")


def in_order(folder: Path | None) -> tuple[RulePack, Automaton]:
    """A pack that can be decided by, and its automaton.

    Raises:
        RuleError: it cannot, or disagrees with its lock; in what is told on stderr.
    """
    pack = read_pack(folder)
    automaton, _ = Automaton(pack), Policy(pack)
    found = lock.problems(pack, _lock(folder or shipped()))
    for problem in found:
        click.echo(problem, err=True)
    if found:
        raise RuleError(f"{len(found)} rules disagree with {lock.NAME}")
    return pack, automaton


@rules.command("lock")
@FOLDER
@click.option("--retire", multiple=True, metavar="ID=REASON", help="A rule that is gone, and why.")
def lock_(*, folder: Path | None, retire: tuple[str, ...]) -> None:
    """Enter new rules and raised versions into rules.lock; what changed silently is refused."""
    root = folder or shipped()
    reasons = dict(text.partition("=")[::2] for text in retire)
    today = datetime.fromtimestamp(SystemClock().wall_ms() / 1000, UTC).date().isoformat()
    after = lock.updated(read_pack(folder), _lock(root), reasons, today)
    (root / lock.NAME).write_bytes(lock.write(after))
    click.echo(f"{root / lock.NAME}: {len(after.rules)} rules, {len(after.retired)} retired")


@rules.command("compile", hidden=True)
@FOLDER
def compile_(*, folder: Path | None) -> None:
    """For `stream.rule_files.build_in_background`: the automaton of a pack, proven, as a pickle to the output."""
    os.nice(3)  # the worker that waits for it decides meanwhile; at 19, on a busy machine, it would wait for ever
    built = Automaton(read_pack(folder))
    sys.stdout.buffer.write(pickle.dumps(built, protocol=pickle.HIGHEST_PROTOCOL))


@rules.command("expand")
@click.argument("words", nargs=-1, metavar="[WORD...]")
@click.option("--write", is_flag=True, help="Write the forms of all keywords of the pack to forms.json.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@FOLDER
def expand_(*, words: tuple[str, ...], write: bool, as_json: bool, folder: Path | None) -> None:
    """List the disguised forms of WORD that are looked for, by kind, and those that are not, with the reason.

    WORD is a keyword of the pack or any other. Needs the extra `authoring`.
    """
    files = pack_files(folder)
    keywords = {each.word: each for each in _keywords(files)}
    if write:
        forms = {keyword.word: _forms(keyword) for keyword in keywords.values()}
        ((folder or shipped()) / FORMS).write_bytes(write_forms(forms))
        count = sum(len(found) for kinds in forms.values() for found in kinds.values())
        click.echo(f"{FORMS}: {count:,} forms of {len(forms)} keywords")
    elif not words:
        raise click.UsageError("name a word, or say --write")
    shown = {word: _listed(keywords.get(word) or Keyword(word, "notice")) for word in words}
    if as_json:
        click.echo(dump_json(shown), nl=False)
        return
    for word, kinds in shown.items():
        click.echo("\n".join(_page(word, kinds)))


def _keywords(files: dict[str, bytes]) -> tuple[Keyword, ...]:
    return read_table(files, KEYWORDS, KeywordFile).keyword if KEYWORDS in files else ()


def _forms(keyword: Keyword) -> dict[Any, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for form in expand(keyword.word, keyword.forms or KINDS, keyword.aliases, keyword.never).forms:
        found.setdefault(form.kind, []).append(form.pattern)
    return {kind: tuple(sorted(patterns)) for kind, patterns in found.items()}


def _listed(keyword: Keyword) -> dict[str, dict[str, Any]]:
    expansion = expand(keyword.word, keyword.forms or KINDS, keyword.aliases, keyword.never)
    found: dict[str, dict[str, Any]] = {kind: {"forms": [], "excluded": {}} for kind in KINDS}
    for form in expansion.forms:
        found[form.kind]["forms"].append(form.pattern)
    for form, reason in expansion.excluded:
        found[form.kind]["excluded"][form.pattern] = reason
    return found


def _page(word: str, kinds: dict[str, dict[str, Any]]) -> Iterable[str]:
    total = sum(len(found["forms"]) for found in kinds.values())
    yield f"{word}: {total} forms"
    for kind, found in kinds.items():
        if found["forms"] or found["excluded"]:
            yield f"  {kind} ({len(found['forms'])}): {' '.join(found['forms']) or '-'}"
        if found["excluded"]:
            yield f"    not looked for ({len(found['excluded'])}):"
            yield from (f"      {form}: {reason}" for form, reason in found["excluded"].items())


def _lock(root: Path) -> lock.Lock:
    path = root / lock.NAME
    try:
        return lock.read(path.read_bytes())
    except FileNotFoundError:
        return lock.Lock()
    except OSError as error:
        raise LanjieError(f"{path}: {error.strerror}") from None
