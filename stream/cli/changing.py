"""What the verbs that change lists and rules share: who, why, where, and waiting until it is in force."""

from __future__ import annotations

import asyncio
import getpass
import os
import re
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

import click

from detectors.rollout import Mode
from stream.clock import SystemClock
from stream.settings import Settings, SettingsError, variable
from stream.updates.keys import Author
from stream.updates.publisher import Plan, Receipt, make_change
from stream.updates.records import BRAKE
from stream.updates.workers import Applied, wait_until_applied

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])
#: Seconds in which a change must be in force on all workers.
IN_FORCE_WITHIN: Final = 5.0
REASON_CHARS: Final = 500  #: as the records have it; workers refuse more

_WHERE: Final = {
    "bootstrap": ("--bootstrap", "Kafka, host:port[,host:port]."),
    "topic_prefix": ("--topic-prefix", "Goes before every topic name."),
    "group": ("--group", "Consumer group of the workers that are waited for."),
    "trust": ("--trust", "Who may change lists and rules, and whose feeds are taken."),
}
_WHO: Final = {
    "author": ("--as", "Who makes the change.  [default: your user name]"),
    "key": ("--key", "File of that person's private key."),
}


def where(command: F) -> F:
    """Options that say which pipeline; the command gets them as ``settings: Settings``."""
    return _with(_WHERE, command)


def who(command: F) -> F:
    """Those of ``where``, and who changes; the command gets ``settings``. Add ``reason`` where one is wanted."""
    return _with(_WHERE | _WHO, command)


def reason(command: F) -> F:
    """``--reason``, which every change has."""
    return click.option("--reason", required=True, callback=_words, help="Why; it stays in the history for ever.")(
        command
    )


def _words(_: click.Context, __: click.Parameter, value: str) -> str:
    if not value.strip() or len(value) > REASON_CHARS:
        raise click.BadParameter(f"{len(value):,} characters; expected a few words, at most {REASON_CHARS}")
    return value


def _with(options: dict[str, tuple[str, str]], command: F) -> F:
    def wrapped(**given: Any) -> Any:
        texts = {name: given.pop(name) for name in options}
        environ = {**os.environ, **{variable(name): text for name, text in texts.items() if text is not None}}
        try:
            settings = Settings.from_env(environ)
        except SettingsError as problem:
            raise click.UsageError(str(problem)) from None
        return command(settings=settings, **given)

    wrapped.__name__, wrapped.__doc__ = command.__name__, command.__doc__
    wrapped.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]
    for name, (flag, text) in reversed(options.items()):
        wrapped = click.option(flag, name, help=f"{text} [env: {variable(name)}]")(wrapped)
    return wrapped  # type: ignore[return-value]


def author_of(settings: Settings) -> Author:
    """Who makes the changes of this command."""
    name = settings.author or re.sub(r"[^a-z0-9._-]", "-", getpass.getuser().lower()) or "nobody"
    if name == BRAKE:
        raise click.UsageError(f"--as {BRAKE}: that name is the brake's own")
    return Author.read(name, settings.key)


def change(settings: Settings, *, action: str, target: str, reason: str, plan: Plan) -> Receipt:
    """Make a change, and say when all workers have it in force."""
    clock, author = SystemClock(), author_of(settings)

    async def both() -> tuple[Receipt, Applied | None]:
        receipt = await make_change(
            settings, author, action=action, target=target, reason=reason, plan=plan, clock=clock
        )
        if receipt.pending or not receipt.serial:
            return receipt, None
        return receipt, await wait_until_applied(settings, receipt.serial, within=IN_FORCE_WITHIN)

    receipt, applied = run(both())
    tell(receipt, applied)
    return receipt


def tell(receipt: Receipt, applied: Applied | None) -> None:
    """One line on what became of a change."""
    if not receipt.serial:
        click.echo("nothing to change")
    elif receipt.pending:
        click.echo(f"change {receipt.serial} waits for another person: lanjie changes approve {receipt.serial}")
    elif applied is None or not applied.workers:
        click.echo(f"change {receipt.serial} is written; no worker is running")
    elif applied.missing:
        click.echo(
            f"change {receipt.serial} is written; in force on {applied.done} of {applied.workers} workers after "
            f"{IN_FORCE_WITHIN:g} s; see `lanjie changes workers`",
            err=True,
        )
    else:
        click.echo(f"change {receipt.serial} is in force on {applied.done} workers after {applied.seconds:.2f} s")


def run(work: Coroutine[Any, Any, T]) -> T:
    """The asynchronous part of a verb."""
    return asyncio.run(work)


def stage_of(text: str) -> tuple[Mode, float]:
    """``shadow``, ``canary:0.05`` (or ``canary:5%``) or ``enforce``.

    Raises:
        click.BadParameter: it is none of them.
    """
    mode, _, share = text.partition(":")
    try:
        value = float(share.removesuffix("%")) / (100 if share.endswith("%") else 1) if share else 0.0
    except ValueError:
        value = -1.0
    if mode == "canary" and 0 < value < 1:
        return "canary", value
    if mode == "shadow" and not share:
        return "shadow", 0.0
    if mode == "enforce" and not share:
        return "enforce", 0.0
    raise click.BadParameter(f"{text!r}; expected shadow, enforce, or canary with its share such as canary:5%")
