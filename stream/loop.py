"""The event loop of a worker: uvloop, which gives up a TLS connection that is not closed in good order.

Over TLS each side says that it is done and waits for the other to say so. When a fetch was under way uvloop at times
waits for its whole patience, 30 s, and every change of partitions, every start and every stop closes such connections.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import uvloop

#: Seconds for the other side to say that it is done. Nothing is lost with it: who closes has got all answers.
CLOSE_WITHIN: Final = 0.5


class Loop(uvloop.Loop):
    """uvloop's, with less patience."""

    async def create_connection(self, *args: Any, **options: Any) -> Any:
        """As always."""
        if options.get("ssl"):
            options.setdefault("ssl_shutdown_timeout", CLOSE_WITHIN)
        return await super().create_connection(*args, **options)


class LoopPolicy(asyncio.DefaultEventLoopPolicy):
    """Makes such loops, also that of the consumer's thread."""

    def new_event_loop(self) -> Loop:
        """One."""
        return Loop()
