"""A coroutine begun at once, without a task: what need not wait is done before anybody else has a turn.

asyncio has this from Python 3.12 on, as ``eager_task_factory``. Until it waits, the caller's task is the current one:
what begins with ``asyncio.timeout`` is not to be begun like this.
"""

from __future__ import annotations

import types
from collections.abc import Coroutine, Generator
from functools import partial
from typing import Any, NamedTuple


class Done(NamedTuple):
    """It did not wait for anything."""

    result: Any


def begin(work: Coroutine[Any, Any, Any]) -> Done | Coroutine[Any, Any, Any]:
    """Run it until it waits for something. Returns what is left of it, if it does; raises what it raises."""
    try:
        waits_for = work.send(None)
    except StopIteration as done:
        return Done(done.value)
    return _rest(work, waits_for)


async def _rest(work: Coroutine[Any, Any, Any], waits_for: Any) -> Any:
    return await _steps(work, waits_for)


@types.coroutine
def _steps(work: Coroutine[Any, Any, Any], waits_for: Any) -> Generator[Any, Any, Any]:
    while True:
        try:
            step = partial(work.send, (yield waits_for))
        except BaseException as error:  # noqa: BLE001 - its own to handle
            step = partial(work.throw, error)
        try:
            waits_for = step()
        except StopIteration as done:
            return done.value
