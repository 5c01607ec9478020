"""The poller: whom it wakes, in every order of what may happen to its sockets."""

from __future__ import annotations

import errno
import functools
import itertools
import os
import random
import select
import socket
from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trio_wsendpoint.testing import Run, cancel_at_every_checkpoint, run_with_schedule
from trio_wsendpoint.transport import AcceptedSocket, poller
from trio_wsendpoint.transport.poller import Poller, polling

pytestmark = pytest.mark.skipif(not hasattr(select, "epoll"), reason="there is no epoll here")

RESET = b"\1\0\0\0\0\0\0\0"
#: What may end a stream or a wait, and what is heard of it.
OVER = {"end": b".", "reset": "reset", "close": "closed", "cancel": "cancelled"}


class Desk:
    """Sockets that wait with one poller, each with a task that reads; and their other ends.

    `heard` is what each of the tasks has read, with `b"."` for the end, "reset" and "closed" for
    the errors, and "cancelled".
    """

    def __init__(self, nursery: trio.Nursery, waits: Poller) -> None:
        self.nursery = nursery
        self.poller = waits
        self.streams: list[AcceptedSocket] = []
        self.numbers: list[int] = []
        self.others: list[socket.socket] = []
        self.heard: list[list[object]] = []
        self.scopes: list[trio.CancelScope] = []

    async def add(self, *, tcp: bool = True, at_most: int = 100) -> int:
        """Add a socket whose task waits; return its place."""
        ours, other = pair(tcp=tcp)
        self.numbers.append(ours.fileno())
        self.streams.append(AcceptedSocket(ours, self.poller))
        self.others.append(other)
        self.heard.append([])
        self.scopes.append(trio.CancelScope())
        self.nursery.start_soon(self.read, len(self.streams) - 1, at_most)
        await wait_all_tasks_blocked()
        return len(self.streams) - 1

    async def read(self, place: int, at_most: int) -> None:
        heard, stream = self.heard[place], self.streams[place]
        with self.scopes[place]:
            try:
                while (data := stream.receive_nowait(at_most)) != b"":
                    if data is None:
                        await stream.wait_readable()
                    else:
                        heard.append(data)
                heard.append(b".")
            except trio.BrokenResourceError:
                heard.append("reset")
            except trio.ClosedResourceError:
                heard.append("closed")
        if self.scopes[place].cancelled_caught:
            heard.append("cancelled")

    def close(self) -> None:
        for stream in self.streams:
            stream.close_nowait()
        for other in self.others:
            other.close()
        self.poller.close()


def pair(*, tcp: bool = True) -> tuple[socket.socket, socket.socket]:
    if not tcp:
        return socket.socketpair()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        other = socket.create_connection(listener.getsockname())
        return listener.accept()[0], other


def reset(other: socket.socket) -> None:
    other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    other.close()


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with trio.open_nursery() as nursery:
        made = Desk(nursery, Poller(few=0))
        try:
            yield made
        finally:
            made.close()


# ---- who is woken ------------------------------------------------------------------------------


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_each_is_woken_by_what_comes_for_it(desk: Desk, order: tuple[int, ...]) -> None:
    """The leader, which came first, and its followers, in any order, and again."""
    for _ in range(3):
        await desk.add()
    for turn in range(2):
        for done, place in enumerate(order):
            desk.others[place].send(b"%d" % turn)
            await wait_all_tasks_blocked()
            for late in order[done + 1 :]:
                assert len(desk.heard[late]) == turn
            assert desk.heard[place][turn:] == [b"%d" % turn]


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("first", [0, 1, 2])
async def test_what_comes_together_wakes_all_that_it_is_for(
    desk: Desk, count: int, first: int
) -> None:
    for _ in range(4):
        await desk.add()
    for place in range(first, first + count):
        desk.others[place % 4].send(b"a")
    await wait_all_tasks_blocked()
    desk.others[3].send(b"b")
    await wait_all_tasks_blocked()
    together = {place % 4 for place in range(first, first + count)}
    for place in range(4):
        expected = b"a" * (place in together) + b"b" * (place == 3)
        assert plain(desk.heard[place]) == list(expected)


async def test_more_events_than_are_taken_at_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poller, "EVENTS", 2)
    for _ in range(7):
        await desk.add()
    for other in desk.others:
        other.send(b"a")
    await wait_all_tasks_blocked()
    assert desk.heard == [[b"a"]] * 7


async def test_what_is_left_after_a_read_is_there_at_once(desk: Desk) -> None:
    place = await desk.add(at_most=2)
    desk.others[place].send(b"abcde")
    await wait_all_tasks_blocked()
    assert desk.heard[place] == [b"ab", b"cd", b"e"]
    ours, other = pair()
    stream = AcceptedSocket(ours, desk.poller)
    other.send(b"abcd")
    for part in (b"a", b"b", b"c", b"d"):
        await stream.wait_readable()  # it is edge-triggered, and must not show that
        assert stream.receive_nowait(1) == part
    with trio.move_on_after(0.01) as scope:
        await stream.wait_readable()
        assert stream.receive_nowait(1) is None
        await stream.wait_readable()
    assert scope.cancelled_caught
    stream.close_nowait()
    other.close()


async def test_what_was_looked_for_first_needs_no_event(desk: Desk) -> None:
    await desk.add()
    ours, other = pair()
    stream = AcceptedSocket(ours, desk.poller)
    for _ in range(3):
        other.send(b"a")
        while stream.receive_nowait(9) is None:
            await trio.lowlevel.checkpoint()
        assert stream.receive_nowait(9) is None
    other.send(b"b")
    await stream.wait_readable()
    assert stream.receive_nowait(9) in {b"b", None}
    stream.close_nowait()
    other.close()


# ---- how a stream ends -------------------------------------------------------------------------


@pytest.mark.parametrize("tcp", [True, False])
@pytest.mark.parametrize("place", [0, 1])
async def test_an_end_that_comes_with_data_has_no_event_of_its_own(
    desk: Desk, place: int, tcp: bool
) -> None:
    for _ in range(2):
        await desk.add(tcp=tcp)
    desk.others[place].send(b"ab")
    desk.others[place].shutdown(socket.SHUT_WR)
    await wait_all_tasks_blocked()
    assert desk.heard[place] == [b"ab", b"."]
    assert desk.heard[1 - place] == []


@pytest.mark.parametrize("tcp", [True, False])
async def test_an_end_that_comes_later(desk: Desk, tcp: bool) -> None:
    for _ in range(2):
        await desk.add(tcp=tcp)
    for place in (1, 0):
        desk.others[place].send(b"ab")
        await wait_all_tasks_blocked()
        desk.others[place].close()
        await wait_all_tasks_blocked()
        assert desk.heard[place] == [b"ab", b"."]


@pytest.mark.parametrize("place", [0, 1])
async def test_a_reset(desk: Desk, place: int) -> None:
    for _ in range(2):
        await desk.add()
    reset(desk.others[place])
    await wait_all_tasks_blocked()
    assert desk.heard[place] == ["reset"]
    desk.others[1 - place].send(b"a")
    await wait_all_tasks_blocked()
    assert desk.heard[1 - place] == [b"a"]


@pytest.mark.parametrize("place", [0, 1])
async def test_urgent_data_ends_a_read_early_and_loses_nothing(desk: Desk, place: int) -> None:
    for _ in range(2):
        await desk.add()
    other = desk.others[place]
    other.send(b"ab")
    other.send(b"!", socket.MSG_OOB)
    other.send(b"cd")
    await wait_all_tasks_blocked()
    other.send(b"ef")
    await wait_all_tasks_blocked()
    assert plain(desk.heard[place]) == list(b"abcdef")


# ---- how a wait ends ---------------------------------------------------------------------------


@pytest.mark.parametrize("places", list(itertools.permutations(range(4), 2)))
async def test_tasks_that_are_cancelled(desk: Desk, places: tuple[int, int]) -> None:
    """The leader and a follower, one after the other and both at once."""
    for _ in range(4):
        await desk.add()
    desk.scopes[places[0]].cancel()
    if sum(places) % 2:
        await wait_all_tasks_blocked()
    desk.scopes[places[1]].cancel()
    desk.others[places[1]].send(b"x")
    await wait_all_tasks_blocked()
    for place in range(4):
        if place in places:
            assert desk.heard[place] == ["cancelled"]
        else:
            desk.others[place].send(b"a")
            await wait_all_tasks_blocked()
            assert desk.heard[place] == [b"a"]


@pytest.mark.parametrize("places", list(itertools.permutations(range(4), 2)))
async def test_streams_that_are_closed(desk: Desk, places: tuple[int, int]) -> None:
    for _ in range(4):
        await desk.add()
    desk.streams[places[0]].close_nowait()
    if sum(places) % 2:
        await wait_all_tasks_blocked()
    desk.streams[places[1]].close_nowait()
    await wait_all_tasks_blocked()
    for place in range(4):
        if place in places:
            assert desk.heard[place] == ["closed"]
        else:
            desk.others[place].send(b"a")
            await wait_all_tasks_blocked()
            assert desk.heard[place] == [b"a"]


@pytest.mark.parametrize("place", [0, 1, 2])
async def test_a_wait_that_is_interrupted_returns_early(desk: Desk, place: int) -> None:
    streams, others = zip(*(pair() for _ in range(3)), strict=True)
    woken: list[int] = []

    async def wait(number: int) -> None:
        await accepted[number].wait_readable()
        woken.append(number)

    accepted = [AcceptedSocket(one, desk.poller) for one in streams]
    for number in range(3):
        desk.nursery.start_soon(wait, number)
        await wait_all_tasks_blocked()
    for _ in range(2):  # what is not waited for is not woken
        accepted[place].interrupt()
        await wait_all_tasks_blocked()
        assert woken == [place]
    for number in {0, 1, 2} - {place}:
        others[number].send(b"a")
        await wait_all_tasks_blocked()
        assert woken[-1] == number
    for one, other in zip(accepted, others, strict=True):
        one.close_nowait()
        other.close()


@pytest.mark.parametrize("then", ["cancel", "close", "interrupt", "data"])
async def test_what_happens_to_a_task_that_was_just_made_the_leader(desk: Desk, then: str) -> None:
    for _ in range(3):
        await desk.add()
    desk.scopes[0].cancel()
    # Until the first has left, which makes the second the leader, which has not run yet.
    while not desk.heard[0]:
        await trio.lowlevel.cancel_shielded_checkpoint()
    if then == "cancel":
        desk.scopes[1].cancel()
    elif then == "close":
        desk.streams[1].close_nowait()
    elif then == "interrupt":
        desk.streams[1].interrupt()
    else:
        desk.others[1].send(b"a")
    await wait_all_tasks_blocked()
    told = {"cancel": ["cancelled"], "close": ["closed"], "interrupt": [], "data": [b"a"]}
    assert desk.heard[1] == told[then]
    for place in (1, 2) if then in {"interrupt", "data"} else (2,):
        desk.others[place].send(b"b")
        await wait_all_tasks_blocked()
        assert desk.heard[place][-1:] == [b"b"]


@pytest.mark.parametrize("place", [0, 1])
async def test_one_task_waits_for_one_socket(desk: Desk, place: int) -> None:
    for _ in range(2):
        await desk.add()
    with pytest.raises(trio.BusyResourceError):
        await desk.streams[place].wait_readable()
    desk.others[place].send(b"a")
    await wait_all_tasks_blocked()
    assert desk.heard[place] == [b"a"]


async def test_a_socket_that_is_asked_for_waits_with_trio(desk: Desk) -> None:
    """Any task may close it, of which the poller would not hear."""
    for _ in range(3):
        await desk.add()
    made = [desk.streams[place].socket for place in (0, 1)]
    assert desk.streams[0].socket is made[0]
    await wait_all_tasks_blocked()
    desk.others[0].send(b"a")
    made[1].close()
    await wait_all_tasks_blocked()
    desk.others[2].send(b"b")
    await wait_all_tasks_blocked()
    assert desk.heard == [[b"a"], ["closed"], [b"b"]]


# ---- few, and many -----------------------------------------------------------------------------


async def test_few_sockets_wait_with_trio_and_more_of_them_here(nursery: trio.Nursery) -> None:
    desk = Desk(nursery, Poller(few=3))
    for count in range(1, 5):
        await desk.add()
        waiting = [number in desk.poller.waiting for number in desk.numbers]
        assert waiting.count(True) == max(count - 2, 0)
    for other in desk.others:
        other.send(b"a")
    await wait_all_tasks_blocked()
    assert desk.heard == [[b"a"]] * 4
    # Those that have waited with Trio wait here now, and the other way round.
    for place in (0, 1):
        desk.streams[place].close_nowait()
    for turn in (b"b", b"c"):
        for other in desk.others[2:]:
            other.send(turn)
        await wait_all_tasks_blocked()
    assert desk.heard[2:] == [[b"a", b"b", b"c"]] * 2
    assert not desk.poller.waiting.keys() & set(desk.numbers[2:])
    with pytest.raises(trio.BusyResourceError):
        await desk.streams[2].wait_readable()
    desk.close()


class FullEpoll:
    """An epoll of a system that has no room for one more socket."""

    closed = False

    def register(self, descriptor: int, mask: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def unregister(self, descriptor: int) -> None:
        pass

    def close(self) -> None:
        pass


async def test_where_the_system_has_no_room_a_socket_waits_with_trio(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(select, "epoll", FullEpoll)
    desk = Desk(nursery, Poller(few=0))
    for turn in range(2):
        await desk.add()
        desk.others[turn].send(b"a")
        await wait_all_tasks_blocked()
    assert desk.heard == [[b"a"]] * 2
    assert not desk.poller.waiting
    desk.close()


async def test_the_system_is_told_of_a_socket_when_it_first_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that is read, answered and closed at once costs the poller no system call."""
    monkeypatch.setattr(select, "epoll", FullEpoll)
    told: list[int] = []
    monkeypatch.setattr(FullEpoll, "register", lambda _, number, __: told.append(number))
    made = Poller(few=0)
    ours, other = pair()
    stream = AcceptedSocket(ours, made)
    other.send(b"a")
    while stream.receive_nowait(9) is None:
        await trio.lowlevel.checkpoint()
    stream.interrupt()
    assert told == []
    assert made.takes(ours.fileno(), stream)
    assert told == [ours.fileno()]
    made.close()
    stream.close_nowait()
    other.close()


async def test_when_it_is_closed_all_are_woken_and_wait_with_trio(desk: Desk) -> None:
    for _ in range(3):
        await desk.add()
    desk.poller.close()
    desk.poller.close()
    await wait_all_tasks_blocked()
    for place in (2, 0, 1):
        desk.others[place].send(b"a")
        await wait_all_tasks_blocked()
        assert desk.heard[place] == [b"a"]


async def test_where_there_is_no_epoll_there_is_no_poller(monkeypatch: pytest.MonkeyPatch) -> None:
    with polling() as found:
        assert found is not None
    monkeypatch.delattr(select, "epoll")
    with polling() as found:
        assert found is None


# ---- a number used again -----------------------------------------------------------------------


async def test_a_number_that_is_used_again_is_another_socket_s(desk: Desk) -> None:
    """Even while the first one is still open elsewhere, as in a child of this process."""
    for _ in range(2):
        await desk.add()
    for place in (0, 1):
        number = desk.numbers[place]
        elsewhere = os.dup(number)
        ours, other = pair()
        desk.streams[place].close_nowait()
        os.dup2(ours.fileno(), number)
        ours.close()
        again = AcceptedSocket(socket.socket(fileno=number), desk.poller)
        desk.others[place].send(b"for the first one")
        with trio.move_on_after(0.02) as scope:
            await again.wait_readable()
        assert scope.cancelled_caught
        other.send(b"a")
        await again.wait_readable()
        assert again.receive_nowait(9) == b"a"
        again.close_nowait()
        other.close()
        os.close(elsewhere)


async def test_events_of_a_socket_that_was_closed_behind_its_back_do_no_harm(desk: Desk) -> None:
    """They come under a number that another socket has: it is woken early, and waits again."""
    await desk.add()
    gone, first = pair()
    number, elsewhere = gone.fileno(), os.dup(gone.fileno())
    stream = AcceptedSocket(gone, desk.poller)
    with trio.move_on_after(0.01):
        await stream.wait_readable()  # of which the system is told
    ours, other = pair()
    os.dup2(ours.fileno(), number)
    gone.detach()
    ours.close()
    again = AcceptedSocket(socket.socket(fileno=number), desk.poller)
    stream.close_nowait()
    first.send(b"for the first one")
    await again.wait_readable()
    assert again.receive_nowait(9) is None
    with trio.move_on_after(0.02) as scope:
        await again.wait_readable()
    assert scope.cancelled_caught
    other.send(b"a")
    await again.wait_readable()
    assert again.receive_nowait(9) == b"a"
    again.close_nowait()
    other.close()
    first.close()
    os.close(elsewhere)
    desk.others[0].send(b"b")
    await wait_all_tasks_blocked()
    assert desk.heard[0] == [b"b"]


async def test_a_child_takes_nothing_away_from_its_parent(desk: Desk) -> None:
    for _ in range(3):
        await desk.add()
    child = os.fork()
    if not child:
        for number, stream in zip(desk.numbers, desk.streams, strict=True):
            desk.poller.remove(number, stream)
        desk.poller.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    for place in (1, 0, 2):
        desk.others[place].send(b"a")
        await wait_all_tasks_blocked()
        assert desk.heard[place] == [b"a"]


# ---- everything, in orders that come from seeds ------------------------------------------------


async def schedule(seed: int) -> None:
    """Let anything happen to some sockets, and see after each step that all of it was heard."""
    draw = random.Random(seed)
    async with trio.open_nursery() as nursery:
        desk = Desk(nursery, Poller(few=draw.choice([0, 0, 3])))
        expected: list[list[object]] = []
        for _ in range(draw.randint(1, 5)):
            await desk.add(at_most=draw.choice([1, 2, 100]))
            expected.append([])
        for _ in range(40):
            for _ in range(draw.choice([1, 1, 2, 5])):
                strike(desk, expected, draw)
            await wait_all_tasks_blocked()
            for heard, told in zip(desk.heard, expected, strict=True):
                assert plain(heard) == plain(told)
        desk.close()


def strike(desk: Desk, expected: list[list[object]], draw: random.Random) -> None:
    place = draw.randrange(len(expected))
    told, stream = expected[place], desk.streams[place]
    if told and not isinstance(told[-1], int):
        return  # it is over
    what = draw.choice(["data", "data", "data", "interrupt", *OVER])
    if what == "data":
        data = bytes(draw.choices(range(65, 90), k=draw.choice([1, 3, 100])))
        desk.others[place].send(data)
        told.extend(data)
    elif what == "interrupt":
        stream.interrupt()
    elif told == plain(desk.heard[place]) and draw.random() < 0.2:  # or soon none is left
        if what == "end":
            desk.others[place].close()
        elif what == "reset":
            reset(desk.others[place])
        elif what == "close":
            stream.close_nowait()
        else:
            desk.scopes[place].cancel()
        told.append(OVER[what])


def plain(heard: list[object]) -> list[object]:
    """Return what was heard as single bytes, and how it ended."""
    found: list[object] = []
    for one in heard:
        found.extend(one if isinstance(one, bytes) and one != b"." else [one])
    return found


@pytest.mark.parametrize("seeds", [range(start, start + 25) for start in (0, 25, 50, 75)])
def test_everything_in_any_order(seeds: range) -> None:
    for seed in seeds:
        try:
            run_with_schedule(functools.partial(schedule, seed), seed=seed)
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise


def at_every_checkpoint(which: int, tcp: bool):
    """Return a scenario in which the victim is the leader, or a follower of several."""

    async def scenario(run: Run) -> None:
        ends = [pair(tcp=tcp) for _ in range(4)]
        waits = Poller(few=0)
        streams = [AcceptedSocket(ours, waits) for ours, _ in ends]
        heard: dict[AcceptedSocket, list[bytes]] = {stream: [] for stream in streams}

        async def read(stream: AcceptedSocket) -> None:
            while len(heard[stream]) < 3:
                heard[stream].append(await stream.receive_some(1))

        async def write() -> None:
            for turn in (b"ab", b"c"):
                for _, other in ends:
                    await wait_all_tasks_blocked()
                    other.send(turn)

        try:
            async with trio.open_nursery() as nursery:
                for place, stream in enumerate(streams):
                    if place == which:
                        nursery.start_soon(write)
                        # Before, or after, others wait.
                        await trio.sleep(0)
                        await run.victim(read, stream)
                    else:
                        nursery.start_soon(read, stream)
                        await trio.sleep(0)
            # What the victim had not taken is still there.
            await read(streams[which])
            assert [b"".join(parts) for parts in heard.values()] == [b"abc"] * 4
        finally:
            for stream, (_, other) in zip(streams, ends, strict=True):
                stream.close_nowait()
                other.close()
            waits.close()

    return scenario


@pytest.mark.parametrize("which", [0, 1, 3])
@pytest.mark.parametrize("tcp", [True, False])
def test_cancelled_and_interrupted_at_every_checkpoint(which: int, tcp: bool) -> None:
    assert cancel_at_every_checkpoint(at_every_checkpoint(which, tcp), seeds=range(6)).runs > 20
