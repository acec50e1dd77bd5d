"""Work beside the event loop that gives way to it: one thread, of lower priority than all that decides."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
_NICE: Final = 10


def _give_way() -> None:
    if sys.platform == "linux":  # where a thread has a priority of its own
        thread = threading.get_native_id()  # which may have less than that already, and may not raise it
        os.setpriority(os.PRIO_PROCESS, thread, max(_NICE, os.getpriority(os.PRIO_PROCESS, thread)))


_pool = ThreadPoolExecutor(1, "aside", _give_way)


def _again() -> None:
    global _pool  # noqa: PLW0603 - a child of a fork has the pool, but not its thread
    _pool = ThreadPoolExecutor(1, "aside", _give_way)


os.register_at_fork(after_in_child=_again)


async def aside(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Like ``asyncio.to_thread``, one after the other and giving way."""
    return await asyncio.get_running_loop().run_in_executor(_pool, lambda: work(*args, **kwargs))
