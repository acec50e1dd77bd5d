"""The ledger decides what is committed. A chunk is named by its offsets: (0, 9) holds records 0 to 9."""

from itertools import dropwhile
from types import SimpleNamespace

from hypothesis import given, settings
from hypothesis import strategies as st

from stream.chunks import Chunk, Ledger


def chunk(first: int, last: int) -> Chunk:
    return Chunk([SimpleNamespace(offset=offset) for offset in (first, last)])


def entered(ledger: Ledger, *spans: tuple[int, int]) -> list[Chunk]:
    chunks = [chunk(*span) for span in spans]
    for each in chunks:
        ledger.add(each)
    return chunks


def test_nothing_is_committed_before_the_first_ack():
    ledger = Ledger()
    entered(ledger, (0, 9), (10, 19))
    assert ledger.pop_acked() is None
    assert not ledger.has_progress
    assert ledger.unacked == 2


def test_an_ack_out_of_order_waits_for_the_chunk_before_it():
    ledger = Ledger()
    first, second, third = entered(ledger, (0, 9), (10, 19), (20, 29))
    third.ack()
    second.ack()
    assert ledger.pop_acked() is None
    first.ack()
    assert ledger.pop_acked() == 30
    assert ledger.pop_acked() is None
    assert ledger.oldest is None


def test_the_ack_of_a_chunk_from_before_a_seek_does_not_pass_for_its_redelivery():
    ledger = Ledger()
    (stale,) = entered(ledger, (0, 9))
    ledger.clear()
    (again,) = entered(ledger, (0, 9))
    stale.ack()
    assert ledger.pop_acked() is None
    again.ack()
    assert ledger.pop_acked() == 10


def test_a_chunk_that_goes_back_in_the_log_replaces_all_before_it():
    ledger = Ledger()
    (late,) = entered(ledger, (100, 199))
    (again,) = entered(ledger, (50, 149))
    late.ack()
    assert ledger.pop_acked() is None
    again.ack()
    assert ledger.pop_acked() == 150


def test_offsets_that_the_log_has_lost_do_not_stop_the_commit():
    ledger = Ledger()
    for each in entered(ledger, (0, 9), (500, 501)):
        each.ack()
    assert ledger.pop_acked() == 502


def test_the_repr_of_a_chunk_shows_no_content():
    assert repr(chunk(3, 7)) == "<Chunk 3..7>"


@given(st.permutations(range(8)), st.data())
def test_what_is_committed_is_always_what_is_acked_without_a_hole(order, data):
    """Against the plain definition: the longest acked run from the start, whatever the order of acks and commits."""
    ledger = Ledger()
    chunks = entered(ledger, *((n * 10, n * 10 + 9) for n in range(8)))
    committed = 0
    for n in order:
        chunks[n].ack()
        if data.draw(st.booleans()):
            committed = ledger.pop_acked() or committed
            run = next((i for i, each in enumerate(chunks) if not each.acked), 8)
            assert committed == run * 10
    assert (ledger.pop_acked() or committed) == 80


#: Done to one of the newest chunks, or to the ledger. A chunk that is sent again starts below the end of the newest.
operations = st.lists(
    st.tuples(
        st.sampled_from(["add", "add", "done", "again", "take", "ack", "ack", "pop", "clear"]), st.integers(0, 3)
    ),
    max_size=60,
)


@given(operations)
@settings(max_examples=300)
def test_what_waits_and_what_is_not_acked_is_what_a_recount_finds(log):
    """Whatever happens in whatever order: against a list of all that is entered."""
    ledger, there, made = Ledger(), [], [chunk(0, 0)]
    for what, n in log:
        if what in ("add", "again", "done"):
            new = chunk(made[-1].last + 1 - (n + 1) * (what == "again"), made[-1].last + 1)
            if what == "done":
                new.take()
                new.ack()
            if there and there[-1].last >= new.first:
                there = []
            ledger.add(new)
            there.append(new)
            made.append(new)
        elif what == "pop":
            ledger.pop_acked()
            there = list(dropwhile(lambda each: each.acked, there))
        elif what == "clear":
            ledger.clear()
            there = []
        else:
            getattr(made[-1 - n % len(made)], what)()
        assert ledger.waiting == sum(not each.taken for each in there)
        assert ledger.unacked == sum(not each.acked for each in there)
        assert ledger.unacked_records == sum(each.count for each in there if not each.acked)
        assert ledger.oldest is (there[0] if there else None)
