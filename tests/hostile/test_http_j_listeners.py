"""Section J: listeners, as far as their addresses and the variables of systemd decide."""

from __future__ import annotations

import pytest

from trio_wsendpoint.addressing import (
    InheritedSocket,
    UnixAddress,
    claim_inherited,
    parse_listen,
    parse_listen_fds,
)


def test_j205_long_paths_and_abstract_names():
    for path in ("/" * 108, "\xe9" * 54, "/" * 1000):
        with pytest.raises(ValueError, match="at most 107 fit"):
            parse_listen(f"unix:{path}")
    address = parse_listen("unix:@name")
    assert isinstance(address, UnixAddress)
    assert (address.is_abstract, address.sockaddr) == (True, b"\0name")
    assert parse_listen("unix:" + "/" * 107) == UnixAddress("/" * 107)


def test_j207_sockets_for_another_process():
    for environ in ({}, {"LISTEN_FDS": "1"}, {"LISTEN_FDS": "1", "LISTEN_PID": "41"}):
        with pytest.raises(ValueError, match="LISTEN_PID is"):
            parse_listen_fds(environ, 42)


def test_j208_variables_that_are_wrong():
    for text in ("0", "-1", "x", "1000000", "", " 1", "1_0", "\u0661"):
        with pytest.raises(ValueError, match="LISTEN_FDS is '"):
            parse_listen_fds({"LISTEN_PID": "42", "LISTEN_FDS": text}, 42)
    with pytest.raises(ValueError, match="LISTEN_FDS is not set"):
        parse_listen_fds({"LISTEN_PID": "42"}, 42)


def test_j211_names():
    environ = {"LISTEN_PID": "42", "LISTEN_FDS": "3"}
    bare = parse_listen_fds(environ, 42)
    assert claim_inherited([parse_listen("systemd:")], bare) == {
        parse_listen("systemd:"): (3, 4, 5)
    }
    with pytest.raises(ValueError, match="the sockets have no names"):
        claim_inherited([parse_listen("systemd:web")], bare)
    named = parse_listen_fds({**environ, "LISTEN_FDNAMES": "web:web"}, 42)
    assert named[2] == InheritedSocket(5)
    web = parse_listen("systemd:web")
    assert claim_inherited([web], named) == {web: (3, 4)}
    for twice in (["systemd:", "systemd:web"], ["systemd:web", "fd:3"], ["fd:3", "fd:3"]):
        with pytest.raises(ValueError, match="both claim descriptor 3"):
            claim_inherited(map(parse_listen, twice), named)
