"""A coroutine that is begun at once does what a task of it would do, on both event loops."""

import asyncio

import pytest

from stream.eager import Done, begin
from stream.loop import Loop

both_loops = pytest.mark.parametrize("loop", [asyncio.SelectorEventLoop, Loop], ids=["asyncio", "uvloop"])


def run(loop, work):
    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(work)


async def nothing():
    """Waits for what need not be waited for."""
    lock = asyncio.Lock()
    async with lock:
        return "done"


async def refuses():
    raise ValueError("at once")


@both_loops
def test_what_need_not_wait_is_done_before_anybody_else_has_a_turn(loop):
    async def main():
        turns = []
        asyncio.get_running_loop().call_soon(turns.append, "another")
        return begin(nothing()), list(turns)

    assert run(loop, main()) == (Done("done"), [])


def test_what_need_not_wait_needs_no_loop():
    assert begin(nothing()) == Done("done")


def test_none_is_a_result_too():
    async def silent():
        return None

    assert begin(silent()) == Done(None)


def test_what_raises_at_once_raises_here():
    with pytest.raises(ValueError, match="at once"):
        begin(refuses())


@both_loops
def test_what_waits_more_than_once_gives_its_result_in_the_end(loop):
    """For a turn of the loop, for a future, for two others at once, and for what was begun like it."""

    async def adds(future):
        await asyncio.sleep(0)
        first = await future
        more = await asyncio.gather(asyncio.sleep(0, 20), asyncio.sleep(0, 300))
        return first + sum(more) + await begin(asyncio.sleep(0, 4000))

    async def main():
        future = asyncio.get_running_loop().create_future()
        left = begin(adds(future))
        assert not isinstance(left, Done)
        asyncio.get_running_loop().call_soon(future.set_result, 1)
        return await left

    assert run(loop, main()) == 4321


@both_loops
def test_what_is_there_before_the_rest_is_awaited_is_not_missed(loop):
    async def main():
        event = asyncio.Event()
        left = begin(event.wait())
        event.set()
        await asyncio.sleep(0)
        return await left

    assert run(loop, main()) is True


@both_loops
def test_what_was_begun_first_comes_first(loop):
    """Who waits for a lock stands in line from the beginning on, not from when the rest is awaited."""

    async def main():
        lock, order = asyncio.Lock(), []

        async def takes(name):
            async with lock:
                order.append(name)

        await lock.acquire()
        begun = begin(takes("begun"))
        task = asyncio.create_task(takes("task"))
        await asyncio.sleep(0)
        lock.release()
        await asyncio.gather(begun, task)
        return order

    assert run(loop, main()) == ["begun", "task"]


@both_loops
def test_a_cancellation_reaches_what_waits(loop):
    """Its ``finally`` runs to the end, though it waits too."""

    async def main():
        told = []

        async def work():
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                told.append("cancelled")
                raise
            finally:
                await asyncio.sleep(0)
                told.append("cleaned up")

        task = asyncio.ensure_future(begin(work()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()
        return told

    assert run(loop, main()) == ["cancelled", "cleaned up"]


@both_loops
def test_a_cancellation_that_is_declined_cancels_nothing(loop):
    async def main():
        async def work():
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return "went on"

        task = asyncio.ensure_future(begin(work()))
        await asyncio.sleep(0)
        task.cancel()
        return await task, task.cancelled()

    assert run(loop, main()) == ("went on", False)


@both_loops
@pytest.mark.parametrize("handled", [True, False])
def test_an_exception_of_what_it_waits_for_reaches_it(loop, handled):
    async def main():
        future = asyncio.get_running_loop().create_future()

        async def work():
            try:
                await future
            except KeyError:
                if handled:
                    return "handled"
                raise

        left = begin(work())
        future.set_exception(KeyError("late"))
        return await left

    if handled:
        assert run(loop, main()) == "handled"
    else:
        with pytest.raises(KeyError, match="late"):
            run(loop, main())


@both_loops
def test_what_raises_after_it_waited_raises_where_the_rest_is_awaited(loop):
    async def main():
        async def work():
            await asyncio.sleep(0)
            await refuses()

        await begin(work())

    with pytest.raises(ValueError, match="at once"):
        run(loop, main())


@both_loops
def test_a_deadline_around_the_rest_ends_it(loop):
    async def main():
        left = begin(asyncio.Event().wait())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(left, 0.01)

    run(loop, main())
