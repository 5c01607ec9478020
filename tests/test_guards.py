"""The library's source keeps the rules of `guards`; and each rule finds what breaks it.

A rule that today's source breaks is a strict xfail: remove its mark when the source keeps it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import guards, guards_of_state
from tests.guards import Source

ROOT = Path(__file__).parents[1]

#: Where a connection works: the rules on state and size hold here.
WORKING = ("session", "entries", "connection", "opening", "transport", "server", "client")
#: A module, a class and a connection as a whole hold no more than this.
MOST_LINES = 350
MOST_CHANGING = 15
MOST_STATES = 20
#: And these folders no more than this: none of theirs implies another one, or excludes it.
MOST_IN: dict[tuple[str, ...], int] = {
    ("session", "entries", "connection", "transport"): 12,
    ("client",): 3,
    ("server",): 5,
}

#: The attributes that stand for a state: what is true while each is set, and who sets it.
STATES: dict[str, str] = {
    # ---- session/
    "Lifecycle.phase": "how far the connection is, by a table; `_move`",
    "Guard.failure": "a callback, or our code, has raised this; `fail_internally`",
    "Guard.is_in_step": "code of the user's may be running; `guard` and `log`",
    "Inbox.wish": "what the app asks for; `ask`, and what gives it",
    "Intake.is_drained": "the endpoint has handled all that came; what gives or handles bytes",
    "Outbox.end": "nothing can be written any more, and why; `fail`",
    # ---- connection/
    "Drive._is_told": "the app knows of a loss; `error`, `abort` and `check_all_sent`",
    "Reader.lease": "which task reads; that task, and `call`",
    "Writer.writing": "which task writes; that task",
    # ---- entries/
    "BlockUse._use": "how far a block is used; its `__aenter__` and `__aexit__`",
    # ---- transport/
    "TLSTransport._stage": "how far TLS is; what meets it first",
    "OneTask._place": "whether a task may enter; the task in the block, and `close`",
    # ---- server/
    "OpeningCourse._stage": "how far the opening has come; `_open`, `_send` and `_refuse`",
    "Asking.error": "what reading, or accepting, has raised first; `fail`",
    "Openings.taking": "what becomes of the streams that come; `stop_plain` and `drop_all`",
    "Exchange.phase": "how far the answer is; what writes it",
    "HttpLink.lost": "the client is lost, for this reason; the first that meets it",
    # ---- client/
    "Keeper.state": "what the channel does, by a table; `_move`",
    "Keeper._untold": "leaving the block is to raise it; `run`, `_fail` and `tell_end`",
    "Line._stage": "how far a try, and its connection, are, by a table; `_move`",
}
#: How many there are.  It may only fall, to `MOST_STATES`: lower it when one has gone.
STATES_TODAY = 20
#: Attributes that look like one, and hold an object that is made late or given back: what is
#: true of the object is asked of another attribute.
HANDLES: dict[str, str] = {
    # ---- session/
    "Lifecycle._held": "made when the first end is held",
    "Pings.round_trip": "a number for the statistics, made by the first pong",
    "Pings.latency": "a number for the app, made by the first pong",
    "Pings._last": "which ping left last, to know its pong; made by the first",
    "Pings._listener": "the instruments' function, while they listen",
    # ---- connection/
    "Drive._nursery": "given by `start`; without one there are no tasks yet",
    "Drive._heartbeat": "given by `start`",
    "Drive._finisher": "made when the stream ends",
    "Drive._end_listener": "the instruments' function, given back when it was called",
    "Reader._heartbeat": "given by `attend`",
    "Reader._task": "made when it is first called",
    "Writer._work": "made when the task first waits",
    "Finisher._patience": "the scope of its task, made with that",
    "Sending._streamer": "the task that sends a stream, to tell it apart",
    "Connection._ping_slots": "made by the first `ping()`",
    "AppState._endpoint": "given when there is a connection",
    "ConnectionContext._connection": "given when it has been opened; `_use` tells",
    # ---- entries/
    "BlockNursery._manager": "made by `enter`",
    "BlockNursery._nursery": "made by `enter`",
    # ---- transport/
    "TLSTransport._failure": "why the stage is FAILED",
    "AcceptedSocket._made": "Trio's socket, made when one asks for it",
    "AcceptedSocket._poller": "where it waits, until it is closed or its socket is asked for",
    "StreamMethods._sending": "the guard of those that send, given up when our bytes have ended",
    "Poller._leader": "the task that waits for all",
    "Waiter.task": "the task that waits here",
    # ---- server/
    "OpeningCourse._asking": "made when the app looks at the request",
    "OpeningCourse._link": "made when something else has come than a whole opening",
    "Alarm._is_over": "what is asked at each tick, while a handler is at work",
    "Relay._call": "the call in work, which is told when `run` is cancelled",
    "Relay._outcome": "what `run` returns or raises, once it is over",
    "FirstBytes._reader": "made when the head has not come at once, until it has",
    "Asking._scope": "the scope in which the app looks, while it does",
    "ClientFinder._hop": "the peer that a proxy's header names",
    "PlainRequests._client": "made with the first request",
    "OpeningCourse._scope": "the scope in which the opening waits, while it does",
    "OpeningCourse._refusal": "what the link has told, if the stage is REFUSED",
    "OpeningCourse._request": "the request, once it is complete",
    "Opening._connection": "given back by `accept`",
    "Watch._scope": "the scope in which it reads, while it does",
    "Exchange._held": "the answer, while the phase is HELD",
    "Exchange._scope": "of the handler, whose deadline ends when the answer begins",
    "Exchange.status": "for the log, made with the answer",
    "HttpLink._reader": "the scope in which a task reads, while it does",
    "UnixListener._file": "the socket's file, given back when it is removed",
    "_SpareDescriptor._descriptor": "the number, while it is kept",
    "EndpointServer._drain": "the goodbyes, once the server drains",
    "EndpointServer._block": "the scope of the block that `run` is given",
    "EndpointServer._nursery": "of the connections, while `run` runs",
    "EndpointServer._served": "made by `run`, with the nursery",
    "Visit.connection": "made by the opening; given by `begin`",
    # ---- client/
    "_Lazy.context": "the context, once it is made",
    "Keeper._current": "the line in use, while the state is CONNECTED or RENEWING",
    "Line.connection": "made by the opening",
    "Line._receive_scope": "the scope in which the app receives, while it does",
    "Line._farewell": "what to close with; the stage LEAVING tells that it is to close",
    "Record._last": "what was judged last, for the app's functions and `GaveUp`",
    "Record._ended_at": "when a connection ended last, for the app's functions",
}


@pytest.fixture(scope="module")
def states() -> dict[str, guards_of_state.Class]:
    return guards_of_state.states_in(
        guards.sources(ROOT, *WORKING), guards_of_state.enums_in(guards.sources(ROOT))
    )


def found_by(rule, *folders: str) -> list[str]:
    return [fault for source in guards.sources(ROOT, *folders) for fault in rule(source)]


# ---- the library -------------------------------------------------------------------------------


def test_a_part_writes_only_its_own_attributes() -> None:
    found = found_by(guards.foreign_writes, "session", "entries", "connection", "transport")
    # A decorator writes the docstring of the function that it is given.
    assert [fault for fault in found if "option_texts.py" not in fault] == []


def test_private_names_stay_at_home() -> None:
    found = found_by(guards.private_uses)
    # The one place that chooses Trio's schedules, which has no public name: see its docstring.
    assert [fault for fault in found if "testing/schedules.py" not in fault] == []


def test_no_module_is_long() -> None:
    assert guards.long_modules(guards.sources(ROOT, *WORKING), MOST_LINES) == []


def test_no_class_holds_much_that_changes() -> None:
    assert guards_of_state.full_classes(guards.sources(ROOT, *WORKING), MOST_CHANGING) == []


def test_the_heartbeat_keeps_every_deadline() -> None:
    found = found_by(guards.policy_scopes, "session", "entries", "connection")
    assert [fault for fault in found if "/heartbeat" not in fault] == []


def test_every_state_is_in_the_list(states: dict[str, guards_of_state.Class]) -> None:
    """A new one fails until it is in STATES with what it means, or in HANDLES with why not."""
    assert sorted(states.keys() - STATES.keys() - HANDLES.keys()) == []


def test_the_list_of_states_is_up_to_date(states: dict[str, guards_of_state.Class]) -> None:
    assert sorted((STATES.keys() | HANDLES.keys()) - states.keys()) == []
    assert STATES.keys() & HANDLES.keys() == set()


def test_there_are_no_more_states_than_before(states: dict[str, guards_of_state.Class]) -> None:
    assert len(states.keys() - HANDLES.keys()) == STATES_TODAY


@pytest.mark.parametrize("folders", MOST_IN)
def test_no_part_has_more_states_than_it_needs(
    states: dict[str, guards_of_state.Class], folders: tuple[str, ...]
) -> None:
    counted = [name for name in states.keys() - HANDLES.keys() if in_one_of(folders, states[name])]
    assert len(counted) <= MOST_IN[folders]


def in_one_of(folders: tuple[str, ...], one: guards_of_state.Class) -> bool:
    return Path(one.source.path).parts[-2] in folders


def test_there_are_few_states(states: dict[str, guards_of_state.Class]) -> None:
    assert len(states.keys() - HANDLES.keys()) <= MOST_STATES


def test_every_state_is_explained_where_it_is_made(
    states: dict[str, guards_of_state.Class],
) -> None:
    silent = [
        f"{one.source.path}: {name}"
        for name, one in states.items()
        if name not in HANDLES and not guards_of_state.is_explained(one, name.partition(".")[2])
    ]
    assert silent == []


#: What runs in no task of an app's: the command, and what tests use.
OF_NO_APP = ("cli", "testing")
#: A worker's process takes no notice of SIGINT, and its main function is the app's.
UNGUARDED = ["trio_wsendpoint/workers/worker.py: run is not protected from a Ctrl-C"]


def test_a_ctrl_c_keeps_no_block_from_being_left() -> None:
    found = [
        fault
        for source in guards.sources(ROOT)
        if Path(source.path).parts[1] not in OF_NO_APP
        for fault in guards.unguarded_blocks(source)
    ]
    assert found == UNGUARDED


# ---- the rules ---------------------------------------------------------------------------------


def module(text: str, path: str = "trio_wsendpoint/connection/a.py") -> Source:
    return Source.parse(path, text)


@pytest.mark.parametrize(
    "body",
    [
        "other.x = 1",
        "self.other.x = 1",
        "other.x += 1",
        "other.x: int = 1",
        "del other.x",
        "self.a, other.x = 1, 2",
        "for other.x in (): pass",
        "with open('') as other.x: pass",
        "setattr(other, 'x', 1)",
        "delattr(other, 'x')",
        "object.__setattr__(other, 'x', 1)",
        "other.__setattr__('x', 1)",
        "self.other.x.y = 1",
        "self.of[1].x = 1",
        "made = find()\n  made.x = 1",
        "made = A() if other else other\n  made.x = 1",
        "made = A()\n  made = other\n  made.x = 1",
        "made, rest = A(), other\n  rest.x = 1",
        "try: pass\n  except A as error:\n    error.x = 1",
        "type(self).x = 1",
        "def inner():\n    other.x = 1",
        "made = A()\n  def inner(made):\n    made.x = 1",
        "lot.deadline = 1",
        "self.lot.deadline = 1",
        "other.cancel_scope.shield = True",
    ],
)
def test_foreign_writes_are_found(body: str) -> None:
    [fault] = guards.foreign_writes(module(f"def f(self, other):\n  {body}"))
    assert "is set from outside" in fault


@pytest.mark.parametrize(
    "body",
    [
        "self.x = self.y = 1",
        "self.x += 1\n  del self.y",
        "setattr(self, 'x', 1)",
        "object.__setattr__(self, 'x', 1)",
        "super().__setattr__('x', 1)",
        "made = A()\n  made.__cause__ = other",
        "made: A\n  if other:\n    made = A()\n  else:\n    made = b.B()\n  made.x = 1",
        "with trio.CancelScope() as scope:\n    scope.shield = True",
        "self.scope = trio.CancelScope()\n  self.scope.deadline = 1",
        "self.nursery.cancel_scope.shield = True",
        "other.x[1] = 2",
        "def inner(): pass\n  inner.__name__ = 'x'",
    ],
)
def test_own_writes_pass(body: str) -> None:
    assert guards.foreign_writes(module(f"def f(self, other):\n  {body}")) == []


@pytest.mark.parametrize(
    "text",
    [
        "a._x",
        "self.a._x",
        "a._x()",
        "a._x = 1",
        "a.__x",
        "from a import _x",
        "from trio_wsendpoint._a import _x",
        "from trio_wsendpoint.a._b import x",
        "from trio._core import x",
        "import trio._core",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n  from a import _x",
        "getattr(a, '_x')",
        "class A:\n  def f(self, other): return other._x",
        "class A:\n  _x = 1\nclass B:\n  def f(self): return A._x",
        "class A:\n  _x = 1\n  class B:\n    def f(self, other): return other._x",
    ],
)
def test_private_uses_are_found(text: str) -> None:
    [fault] = guards.private_uses(module(text))
    assert "is private" in fault


@pytest.mark.parametrize(
    "text",
    [
        "self._x",
        "cls._x",
        "super()._x",
        "_x = 1\n_x",
        "a.__class__",
        "class A:\n  def _x(self): return A._x",
        "class A:\n  __slots__ = ('_x',)\n  def f(self, other): return other._x",
        "class A:\n  _x: int\n  def f(self, other): return other._x",
        "class A:\n  def f(self, other):\n    self._x = other._x",
        "getattr(self, '_x')",
        "getattr(a, 'x')",
        "from __future__ import annotations",
        "from trio_wsendpoint._a import x",
    ],
)
def test_own_names_pass(text: str) -> None:
    assert guards.private_uses(module(text)) == []


def test_blocks_that_a_ctrl_c_may_interrupt_are_found() -> None:
    protected = "@trio.lowlevel.enable_ki_protection\n"
    block = "async def f():\n  async with a: pass\n"
    [fault] = guards.unguarded_blocks(module(block))
    assert "f is not protected" in fault
    assert guards.unguarded_blocks(module(protected + block)) == []
    # What protects a function does nothing for one that is made in it.
    inner = "def g():\n  async def f():\n    async with a: pass"
    assert guards.unguarded_blocks(module(protected + inner))
    assert guards.unguarded_blocks(module("def f():\n  with a: pass")) == []


def test_long_modules_are_found() -> None:
    assert guards.long_modules([module("x = 1\n" * 5)], 4) == [f"{module('').path}: 5 lines"]
    assert guards.long_modules([module("x = 1\n" * 5)], 5) == []


@pytest.mark.parametrize(
    "text",
    [
        "trio.move_on_after(1)",
        "trio.fail_at(1)",
        "move_on_at(1)",
        "trio.CancelScope(deadline=1)",
        "trio.CancelScope(relative_deadline=1)",
        "from trio import fail_after",
        "class A:\n def f(self):\n  self.s = trio.CancelScope()\n  self.s.deadline = 1",
    ],
)
def test_policy_scopes_are_found(text: str) -> None:
    assert len(guards.policy_scopes(module(text))) == 1


@pytest.mark.parametrize(
    "text", ["trio.CancelScope(shield=True)", "a.deadline", "self.deadline = 1"]
)
def test_other_scopes_pass(text: str) -> None:
    assert guards.policy_scopes(module(text)) == []


CLASSES = """
class Phase(enum.Enum):
    A = 1
_A = Phase.A
class Base:
    late: int | None = None
    def __init__(self, given: bool) -> None:
        self.steady = False
        #: Set by `go` as soon as it has begun.
        self.flag = False
        self.phase = Phase.A
        self.alias = _A
        self.number = 0  # of what there was
        self.found: str | None = None
        self.given = given
        self.made, self.also = None, 0
    def go(self) -> None:
        self.flag = self.number > 1
        self.phase = self.alias = Phase.A
        self.number += 1
        self.found = "x"
        self.late = 2
        self.given = bool(self.number)
        self.made, self.also = object(), 1
class Derived(Base):
    def __init__(self) -> None:
        self.own = 0
    def on(self) -> None:
        for self.own in range(3):
            del self.flag
"""


def test_what_changes_is_counted_with_that_of_the_bases() -> None:
    assert guards_of_state.full_classes([module(CLASSES)], 9) == [
        f"{module('').path}: Derived has 10"
    ]
    assert guards_of_state.full_classes([module(CLASSES)], 10) == []
    [_, base, derived] = guards_of_state.classes_in([module(CLASSES)])
    assert set(base.changing) == {
        "flag", "phase", "alias", "number", "found", "late", "given", "made", "also",
    }  # fmt: skip
    assert set(derived.changing) == {"own", "flag"}


def test_states_are_told_from_other_attributes() -> None:
    source = module(CLASSES)
    enums = guards_of_state.enums_in([source])
    assert enums == {"Phase", "_A"}
    found = set(guards_of_state.states_in([source], enums))
    names = ("flag", "phase", "alias", "found", "late", "given", "made")
    assert found == {f"Base.{name}" for name in names}  # that of `Derived` is one of them


def test_an_explanation_is_a_comment_or_a_docstring() -> None:
    text = '''
class A:
    """`said` is what is said."""
    def __init__(self):
        #: Above.
        self.above = False
        self.within = False  # set by `go`
        self.short = False  # noqa
        self.said = False
        self.silent = False
'''
    [one] = guards_of_state.classes_in([module(text)])
    told = [name for name in one.attributes if guards_of_state.is_explained(one, name)]
    assert told == ["above", "within", "said"]
