"""The peer: Faust as its documentation shows it. ``faust.Record`` in, ``await topic.send`` out, the same engine inside.

python -m tests.benchmarks.peers.stock_faust BOOTSTRAP PREFIX LISTS
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import faust

from detectors.model.events import CallEvent, SmsEvent
from stream.topics import CALLS, DECISIONS, SMS
from stream.wire import encode_decision
from tests.benchmarks.peers.engine import engine


class Call(faust.Record, serializer="json"):
    id: str
    time: int
    a_number: str
    b_number: str


class Sms(faust.Record, serializer="json"):
    id: str
    time: int
    a_number: str
    b_number: str
    text: str


def main(bootstrap: str, prefix: str, lists: str) -> None:
    """Until killed."""
    decide = engine(lists).decide
    app = faust.App(
        f"{prefix}stock",
        broker=f"kafka://{bootstrap}",
        consumer_auto_offset_reset="earliest",
        topic_disable_leader=True,
        topic_allow_declare=False,
        web_enabled=False,
        datadir=Path(os.environ.get("LANJIE_DATA_DIR", tempfile.gettempdir())) / "stock",
    )
    out = app.topic(prefix + DECISIONS.name, value_type=bytes, value_serializer="raw")

    @app.agent(app.topic(prefix + CALLS.name, value_type=Call))
    async def calls(stream):
        async for c in stream:
            event = CallEvent(id=c.id, time=c.time, a_number=c.a_number, b_number=c.b_number)
            for decision in decide([event]):
                await out.send(key=decision.subject.encode(), value=encode_decision(decision))

    @app.agent(app.topic(prefix + SMS.name, value_type=Sms))
    async def sms(stream):
        async for s in stream:
            event = SmsEvent(id=s.id, time=s.time, a_number=s.a_number, b_number=s.b_number, text=s.text)
            for decision in decide([event]):
                await out.send(key=decision.subject.encode(), value=encode_decision(decision))

    faust.Worker(app, loglevel="info").execute_from_commandline()


if __name__ == "__main__":
    main(*sys.argv[1:])
