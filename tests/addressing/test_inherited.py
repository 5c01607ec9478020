import pytest

from trio_wsendpoint.addressing import (
    LISTEN_VARIABLES,
    InheritedSocket,
    claim_inherited,
    parse_listen,
    parse_listen_fds,
)

WEB, ADMIN, BARE = InheritedSocket(3, "web"), InheritedSocket(4, "admin"), InheritedSocket(5)


def environ(**values):
    return {"LISTEN_PID": "42", "LISTEN_FDS": "2", "PATH": "/bin"} | {
        f"LISTEN_{name}": value for name, value in values.items()
    }


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, (InheritedSocket(3), InheritedSocket(4))),
        ({"FDNAMES": ""}, (InheritedSocket(3), InheritedSocket(4))),
        ({"FDNAMES": "web:admin"}, (WEB, ADMIN)),
        ({"FDNAMES": "web"}, (WEB, InheritedSocket(4))),
        ({"FDNAMES": ":admin"}, (InheritedSocket(3), ADMIN)),
        ({"FDNAMES": "web:web"}, (WEB, InheritedSocket(4, "web"))),
        ({"FDS": "1"}, (InheritedSocket(3),)),
    ],
)
def test_sockets(values, expected):
    assert parse_listen_fds(environ(**values), 42) == expected


def test_nothing_is_changed():
    values = environ(FDNAMES="a:b")
    before = dict(values)
    parse_listen_fds(values, 42)
    assert values == before
    assert {name for name in values if name.startswith("LISTEN_")} <= set(LISTEN_VARIABLES)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, "LISTEN_PID is not set"),
        ({"LISTEN_FDS": "1"}, "LISTEN_PID is not set"),
        (environ(PID="43"), r"not for this process \(42\)"),
        (environ(PID="x"), "LISTEN_PID is 'x'"),
        (environ(PID=""), "LISTEN_PID is ''"),
        ({"LISTEN_PID": "42"}, "LISTEN_FDS is not set"),
        *(
            (environ(FDS=text), "LISTEN_FDS is '")
            for text in ("0", "-1", "x", "", "+2", " 2", "\u0662", "1000000", "4097", "9" * 99)
        ),
        (environ(FDNAMES="a:b:c"), "3 names for 2 sockets"),
    ],
)
def test_what_is_refused(values, expected):
    with pytest.raises(ValueError, match=expected):
        parse_listen_fds(values, 42)


def claim(*texts, sockets=(WEB, ADMIN, BARE)):
    return {
        str(address): numbers
        for address, numbers in claim_inherited(map(parse_listen, texts), sockets).items()
    }


def test_claims():
    assert claim("systemd:") == {"systemd:": (3, 4, 5)}
    assert claim("systemd:web", "fd:7", "tcp:a:1", "unix:/a") == {"systemd:web": (3,), "fd:7": (7,)}
    twice = (WEB, InheritedSocket(4, "web"))
    assert claim("systemd:web", sockets=twice) == {"systemd:web": (3, 4)}


@pytest.mark.parametrize(
    ("texts", "sockets", "expected"),
    [
        (["systemd:x"], (WEB, ADMIN, BARE), "systemd:x: .* the names are 'admin', 'web'"),
        (["systemd:x"], (BARE,), "the sockets have no names"),
        (["systemd:", "systemd:web"], (WEB,), "systemd: and systemd:web both claim descriptor 3"),
        (["fd:3", "systemd:"], (WEB,), "fd:3 and systemd: both claim descriptor 3"),
        (["systemd:", "systemd:"], (WEB,), "both claim"),
    ],
)
def test_claims_that_are_refused(texts, sockets, expected):
    with pytest.raises(ValueError, match=expected):
        claim(*texts, sockets=sockets)
