"""`Deflate`: the options, and every case of the negotiation from both sides."""

from __future__ import annotations

import itertools
import sys
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_wsendpoint.errors import BadResponse
from trio_wsendpoint.extensions import Deflate, PerMessageDeflate
from trio_wsendpoint.protocol.extension import ExtensionNegotiator, MessageExtension

from .helpers import decode, negotiate, repeatable
from .test_parameters import BAD, C_BITS, C_TAKE, S_BITS, S_TAKE

# ---- the options -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("level", 1, 9),
        ("window_bits", 9, 15),
        ("memory_level", 1, 9),
        ("peer_window_bits", 9, 15),
        ("threshold", 0, 1 << 40),
    ],
)
def test_ranges(name, least, most):
    for value in (least, most):
        assert getattr(Deflate(**{name: value}), name) == value
    with pytest.raises(ValueError, match=rf"Deflate\.{name} must be .*, not {least - 1}"):
        Deflate(**{name: least - 1})
    if name != "threshold":
        with pytest.raises(ValueError, match=rf"Deflate\.{name} must be .*, not {most + 1}"):
            Deflate(**{name: most + 1})
    wrong: Any
    for wrong in (True, 9.0, "9", None):
        with pytest.raises(TypeError, match=rf"Deflate\.{name} must be an int"):
            Deflate(**{name: wrong})


@pytest.mark.parametrize("name", ["context_takeover", "peer_context_takeover"])
def test_flags(name):
    wrong: Any = 0
    with pytest.raises(TypeError, match=rf"Deflate\.{name} must be a bool, not 0"):
        Deflate(**{name: wrong})


def test_engine_names():
    with pytest.raises(ValueError, match="'auto', 'zlib' or 'isal', not 'gzip'"):
        Deflate(engine="gzip")  # type: ignore[arg-type]


def test_missing_engine_is_told_at_once(monkeypatch):
    monkeypatch.setitem(sys.modules, "isal.isal_zlib", None)
    with pytest.raises(ImportError, match="isal cannot be imported"):
        Deflate(engine="isal")
    Deflate(engine="auto")


def test_is_what_the_handshake_wants():
    negotiator: ExtensionNegotiator = Deflate()
    extension: MessageExtension = negotiator.accept_answer([])
    assert negotiator.name == "permessage-deflate"
    assert extension.rsv == 0b100
    assert Deflate() == Deflate()
    with pytest.raises(AttributeError):
        Deflate().level = 3  # type: ignore[misc]


# ---- what was agreed, and what exists ----------------------------------------------------------


def agreed(extension: PerMessageDeflate) -> tuple[int, bool, int, bool]:
    options = extension.agreed
    return (
        options.window_bits,
        options.context_takeover,
        options.peer_window_bits,
        options.peer_context_takeover,
    )


@pytest.fixture
def nothing_allocated(monkeypatch):
    """Fail if a compressor or decompressor is made."""

    def refuse(*arguments):
        raise AssertionError("allocated during the negotiation")

    monkeypatch.setattr(zlib, "compressobj", refuse)
    monkeypatch.setattr(zlib, "decompressobj", refuse)


# ---- the client's offers -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "offers"),
    [
        ({}, [[(S_BITS, "12"), (C_BITS, "12")], [(C_BITS, "12")]]),
        ({"window_bits": 15}, [[(S_BITS, "12"), (C_BITS, None)], [(C_BITS, None)]]),
        ({"window_bits": 15, "peer_window_bits": 15}, [[(C_BITS, None)]]),
        ({"window_bits": 9, "peer_window_bits": 15}, [[(C_BITS, "9")]]),
        (
            {"context_takeover": False, "peer_window_bits": 15},
            [[(C_TAKE, None), (C_BITS, "12")]],
        ),
        (
            {"peer_context_takeover": False, "peer_window_bits": 15},
            [[(S_TAKE, None), (C_BITS, "12")], [(C_BITS, "12")]],
        ),
        (
            {"context_takeover": False, "peer_context_takeover": False, "peer_window_bits": 9},
            [
                [(S_TAKE, None), (C_TAKE, None), (S_BITS, "9"), (C_BITS, "12")],
                [(C_TAKE, None), (C_BITS, "12")],
            ],
        ),
    ],
)
@pytest.mark.usefixtures("nothing_allocated")
def test_offers(options, offers):
    assert [list(offer) for offer in Deflate(**options).offers()] == offers


# ---- the server --------------------------------------------------------------------------------

ALL_15 = {"window_bits": 15, "peer_window_bits": 15}
SERVER = [
    # ours, the offer, the answer, what is agreed: window, takeover, peer's window, its takeover
    (ALL_15, [], [], (15, True, 15, True)),
    (ALL_15, [(C_BITS, None)], [], (15, True, 15, True)),
    (ALL_15, [(C_BITS, "15")], [], (15, True, 15, True)),
    (ALL_15, [(C_BITS, "10")], [(C_BITS, "10")], (15, True, 10, True)),
    # what was asked for is in the answer, even 15 (7.1.2.1)
    (ALL_15, [(S_BITS, "15")], [(S_BITS, "15")], (15, True, 15, True)),
    (ALL_15, [(S_BITS, "9")], [(S_BITS, "9")], (9, True, 15, True)),
    (ALL_15, [(S_TAKE, None)], [(S_TAKE, None)], (15, False, 15, True)),
    # the client's own hints are taken up
    (ALL_15, [(C_TAKE, None)], [(C_TAKE, None)], (15, True, 15, False)),
    # we cannot compress at 8, and we inflate it with 9
    (ALL_15, [(S_BITS, "8")], None, None),
    (ALL_15, [(S_BITS, "8"), (C_BITS, None)], None, None),
    (ALL_15, [(C_BITS, "8")], [(C_BITS, "8")], (15, True, 9, True)),
    # the defaults: what Firefox, Chromium, and we ourselves send
    ({}, [], [(S_BITS, "12")], (12, True, 15, True)),
    ({}, [(C_BITS, None)], [(S_BITS, "12"), (C_BITS, "12")], (12, True, 12, True)),
    ({}, [(S_BITS, "12"), (C_BITS, "12")], [(S_BITS, "12"), (C_BITS, "12")], (12, True, 12, True)),
    ({}, [(C_BITS, "15")], [(S_BITS, "12"), (C_BITS, "12")], (12, True, 12, True)),
    ({}, [(C_BITS, "9")], [(S_BITS, "12"), (C_BITS, "9")], (12, True, 9, True)),
    ({}, [(S_BITS, "15")], [(S_BITS, "12")], (12, True, 15, True)),
    ({}, [(S_BITS, "10")], [(S_BITS, "10")], (10, True, 15, True)),
    # ours alone
    (
        {"context_takeover": False, "peer_context_takeover": False, **ALL_15},
        [],
        [(S_TAKE, None), (C_TAKE, None)],
        (15, False, 15, False),
    ),
    # all four at once
    (
        {"window_bits": 13, "peer_window_bits": 14},
        [(C_BITS, None), (S_TAKE, None), (S_BITS, "11"), (C_TAKE, None)],
        [(S_TAKE, None), (C_TAKE, None), (S_BITS, "11"), (C_BITS, "14")],
        (11, False, 14, False),
    ),
]


@pytest.mark.parametrize(("options", "offer", "answer", "expected"), SERVER)
@pytest.mark.usefixtures("nothing_allocated")
def test_server(options, offer, answer, expected):
    accepted = Deflate(**options).accept_offer(offer)
    if answer is None:
        assert accepted is None
    else:
        assert accepted is not None
        assert list(accepted[0]) == answer
        assert agreed(accepted[1]) == expected


@pytest.mark.parametrize("offer", BAD)
@pytest.mark.usefixtures("nothing_allocated")
def test_server_declines(offer):
    assert Deflate().accept_offer(offer) is None


# ---- the client --------------------------------------------------------------------------------

CLIENT = [
    ({}, [], (12, True, 15, True)),
    ({}, [(S_BITS, "12")], (12, True, 12, True)),
    ({}, [(S_BITS, "9")], (12, True, 9, True)),
    ({}, [(S_BITS, "8")], (12, True, 9, True)),
    ({}, [(C_BITS, "12")], (12, True, 15, True)),
    ({}, [(C_BITS, "9")], (9, True, 15, True)),
    # "the server may either ignore this value": we keep to our own, smaller one (7.1.2.2)
    ({}, [(C_BITS, "15")], (12, True, 15, True)),
    ({}, [(S_TAKE, None)], (12, True, 15, False)),
    ({}, [(C_TAKE, None)], (12, False, 15, True)),
    # a server that sets a window though we did not ask for one (7.1.2.1)
    ({"peer_window_bits": 15}, [(S_BITS, "10")], (12, True, 10, True)),
    ({"peer_window_bits": 15}, [(S_BITS, "15")], (12, True, 15, True)),
    # the wish was not granted: the answer is one to our second offer
    ({"peer_context_takeover": False}, [], (12, True, 15, True)),
    ({"peer_context_takeover": False}, [(S_TAKE, None)], (12, True, 15, False)),
    # our own doing needs no leave
    ({"context_takeover": False}, [], (12, False, 15, True)),
    (
        {"window_bits": 14, "peer_window_bits": 13},
        [(C_BITS, "10"), (S_TAKE, None), (S_BITS, "11"), (C_TAKE, None)],
        (10, False, 11, False),
    ),
]


@pytest.mark.parametrize(("options", "answer", "expected"), CLIENT)
@pytest.mark.usefixtures("nothing_allocated")
def test_client(options, answer, expected):
    assert agreed(Deflate(**options).accept_answer(answer)) == expected


@pytest.mark.parametrize(
    "answer",
    [
        *BAD,
        [(C_BITS, None)],
        [(C_BITS, "8")],
        [(S_BITS, "13")],
        [(S_BITS, "15")],
        [(S_BITS, "99")],
        [(C_TAKE, None), (S_BITS, "13")],
    ],
)
@pytest.mark.usefixtures("nothing_allocated")
def test_client_refuses(answer):
    with pytest.raises(BadResponse, match="permessage-deflate: "):
        Deflate().accept_answer(answer)


# ---- both --------------------------------------------------------------------------------------

groups = st.builds(
    Deflate,
    window_bits=st.integers(9, 15),
    peer_window_bits=st.integers(9, 15),
    context_takeover=st.booleans(),
    peer_context_takeover=st.booleans(),
)


@given(groups, groups)
@repeatable
def test_what_one_sends_the_other_expects(client, server):
    at_client, at_server = negotiate(client, server)
    for one, other in ((at_client, at_server), (at_server, at_client)):
        assert one.agreed.window_bits <= other.agreed.peer_window_bits
        # Whoever keeps its context has a peer that keeps it too.
        assert one.agreed.context_takeover <= other.agreed.peer_context_takeover
    # Between two of us every wish is granted.
    for ours, theirs, side in ((client, server, at_client), (server, client, at_server)):
        assert side.agreed.window_bits <= min(ours.window_bits, theirs.peer_window_bits)
        assert side.agreed.peer_window_bits <= ours.peer_window_bits
        assert side.agreed.context_takeover == (
            ours.context_takeover and theirs.peer_context_takeover
        )


@pytest.mark.parametrize(
    ("client_bits", "server_bits"), list(itertools.product([9, 12, 15], [9, 12, 15]))
)
def test_a_client_that_cannot_be_told_its_window_is_understood(client_bits, server_bits):
    # Defect 32: the server wants a small window, and nothing in the offer lets it say so.
    server = Deflate(peer_window_bits=server_bits)
    accepted = server.accept_offer([])
    assert accepted is not None
    answer, at_server = accepted
    assert C_BITS not in dict(answer)
    sender = PerMessageDeflate(Deflate(window_bits=client_bits))
    far = bytes((i * i * 7 + i // 3 * 11) % 251 for i in range(20_000))
    for _ in range(2):
        encoded = sender.encode(far, final=True)
        # A few bytes at a time, so that only the window helps.
        pieces = [encoded[i : i + 100] for i in range(0, len(encoded), 100)]
        assert decode(at_server, *pieces) == far
