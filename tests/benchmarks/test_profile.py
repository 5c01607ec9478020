"""A server counts what it runs for a message."""

from __future__ import annotations

import select
import socket

import pytest

from tests.benchmarks import processes, profile
from tests.benchmarks.peers import Peer
from tests.benchmarks.profile import READY, WAITED, count_all
from tests.benchmarks.run import certificate
from tests.benchmarks.servers.counted import OURS, REST, TRIO, is_system_call, owner_of
from trio_wsendpoint import Connection


@pytest.fixture(autouse=True)
def on_any_core(monkeypatch):
    monkeypatch.setattr(processes, "confine", lambda pid, core: None)


def test_what_a_message_takes_is_counted():
    with certificate() as cert:
        found = count_all(cert, pytest.fail, ["pingpong", "handshakes"], seconds=0.05)
    assert list(found) == ["pingpong", "handshakes"]
    ready, waited = found["pingpong"][READY], found["pingpong"][WAITED]
    for one in (ready, waited):
        assert one.system_calls["send"] == pytest.approx(1, abs=0.2)
        assert one.system_calls["recv"] >= 0.9
        assert min(one.bytecodes[owner] for owner in (OURS, TRIO, REST)) > 1
    # Each message that is waited for has the system asked once, and then a turn of Trio's loop.
    assert waited.system_calls["poll"] >= 0.9
    assert waited.bytecodes[TRIO] > ready.bytecodes[TRIO]
    assert found["handshakes"][WAITED].system_calls["accept"] == pytest.approx(1, abs=0.5)


def test_a_work_that_fails_is_left_out_and_told(monkeypatch, tmp_path):
    monkeypatch.setattr(profile, "COUNTED", Peer(key="x", title="none", module="none"))
    told: list[str] = []
    assert count_all(tmp_path, told.append, ["pingpong"]) == {}
    assert told == ["  failed: none: it has ended"]


def test_bytecodes_are_of_those_whose_code_it_is():
    assert owner_of(Connection.send.__code__) == OURS
    assert owner_of(owner_of.__code__) == REST


def test_calls_of_the_system_are_told_from_other_functions():
    with socket.socket() as sock, select.epoll() as epoll:
        assert is_system_call(sock.recv)
        assert is_system_call(epoll.poll)
        assert not is_system_call(sock.fileno)
    assert not is_system_call(len)
    assert not is_system_call([].append)
