"""stream/transport.py and stream/output.py lean on private parts of Faust and aiokafka. This pins them.

A red test here means: a pinned version changed. Read the changed source against the module docstring of
stream/transport.py, run tests/integration/test_worker.py, and only then write down the new versions and digests
(the failure prints them).
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import inspect
from collections.abc import Callable

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.producer.message_accumulator import BatchBuilder, MessageAccumulator
from faust.app.base import App
from faust.transport.conductor import Conductor
from faust.transport.consumer import Consumer, ThreadDelegateConsumer
from faust.transport.drivers import aiokafka as driver
from mode.services import Service

from stream import transport

VERSIONS = {"faust-streaming": "0.15.3", "aiokafka": "0.14.0", "mode-streaming": "0.7.1"}

#: Overridden by us, or the stock code on both sides of what we override.
SOURCES: dict[Callable, str] = {
    Consumer.getmany: "4b168d84882a",
    Consumer._wait_next_records: "6218e1969a63",
    Consumer._drain_messages: "44a2500309e8",
    Consumer.ack: "5fcf41cf4515",
    Consumer._add_gap: "4df2573ded7c",
    Consumer._new_offset: "1d2c7ea89a7a",
    Consumer._filter_tps_with_pending_acks: "f6f923977423",
    Consumer._filter_committable_offsets: "dc5e9baf5d99",
    Consumer._should_commit: "5ce941793947",
    Consumer._commit_offsets: "1a6979904118",
    Consumer.wait_empty: "e4662fe24f09",
    Consumer.perform_seek: "0e8c130ff4b0",
    Consumer.seek: "b86a9fe05f95",
    Consumer.on_buffer_full: "c8961679e0bc",
    Consumer.on_partitions_revoked: "d04b7ae72c6f",
    Consumer.on_partitions_assigned: "29ce96596f05",
    ThreadDelegateConsumer._getmany: "f9d47aa9010b",
    ThreadDelegateConsumer.threadsafe_partitions_revoked: "6c55d67e9eb0",
    ThreadDelegateConsumer.threadsafe_partitions_assigned: "50fac26841ad",
    ThreadDelegateConsumer.seek_wait: "e9db5bbc4ceb",
    driver.Consumer._to_message: "7c24f6511b2f",
    driver.Consumer._new_consumer_thread: "0870ec53dea7",
    driver.AIOKafkaConsumerThread._create_worker_consumer: "c2701bfc3e6f",
    Conductor._compile_message_handler: "9fbc0538097a",
    Service.wait_first: "feade6a31f8a",
    Fetcher.fetched_records: "be4348896b9b",
    App._new_transport: "42db531312dd",
    App._on_partitions_revoked: "d5c895bbe57d",
    App._stop_consumer: "55854a5de12c",
    GroupCoordinator.coordinator_dead: "ba1eda0254af",
    AIOKafkaProducer.create_batch: "c4efda4bb7a0",
    AIOKafkaProducer.send_batch: "bf42b0f0c5c0",
    BatchBuilder.append: "657d76f55157",
    MessageAccumulator.add_batch: "5ed1c5b1367a",
}


@pytest.mark.parametrize(("name", "version"), VERSIONS.items())
def test_versions_are_those_that_were_read(name, version):
    assert importlib.metadata.version(name) == version


def digest(function: Callable) -> str:
    return hashlib.sha256(inspect.getsource(function).encode()).hexdigest()[:12]


@pytest.mark.parametrize("function", SOURCES, ids=lambda function: function.__qualname__)
def test_the_source_is_the_one_that_was_read(function):
    assert digest(function) == SOURCES[function], f"{function.__qualname__} changed: now {digest(function)}"


def test_every_override_still_overrides_something():
    own = {name for name, value in vars(transport.ChunkConsumer).items() if inspect.isfunction(value)}
    ours_alone = {"_is_full", "_pack", "_numbers", "oldest_age", "lag"}
    assert {name for name in own if not hasattr(driver.Consumer, name)} == ours_alone


def test_overrides_take_what_the_stock_methods_take():
    names = ("_getmany", "wait_first", "_to_message", "ack", "_new_offset", "_add_gap", "on_partitions_revoked")
    more = ("on_partitions_assigned", "threadsafe_partitions_revoked", "threadsafe_partitions_assigned")
    for name in (*names, *more):
        ours = inspect.signature(getattr(transport.ChunkConsumer, name)).parameters
        stock = inspect.signature(getattr(driver.Consumer, name)).parameters
        assert list(ours) == list(stock), name
