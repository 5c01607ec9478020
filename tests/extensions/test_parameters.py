"""`parameters`: what may stand in an offer and in an answer (row D74)."""

from __future__ import annotations

import pytest

from trio_wsendpoint.extensions.parameters import Parameters, read_parameters

S_TAKE, C_TAKE = "server_no_context_takeover", "client_no_context_takeover"
S_BITS, C_BITS = "server_max_window_bits", "client_max_window_bits"


@pytest.mark.parametrize("offer", [True, False])
@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ([], Parameters()),
        ([(S_TAKE, None)], Parameters(server_no_context_takeover=True)),
        ([(C_TAKE, None)], Parameters(client_no_context_takeover=True)),
        ([(S_BITS, "8")], Parameters(server_max_window_bits=8)),
        ([(C_BITS, "9")], Parameters(client_max_window_bits=9)),
        ([(C_BITS, "15")], Parameters(client_max_window_bits=15)),
        (
            [(C_BITS, "10"), (S_TAKE, None), (S_BITS, "11"), (C_TAKE, None)],
            Parameters(
                server_no_context_takeover=True,
                client_no_context_takeover=True,
                server_max_window_bits=11,
                client_max_window_bits=10,
            ),
        ),
    ],
)
def test_good(parameters, expected, offer):
    assert read_parameters(parameters, offer=offer) == expected


BAD = [
    *[[(name, value)] for name in (S_BITS, C_BITS) for value in (
        "7", "16", "08", "0", "99", "", " 9", "9 ", "+9", "-9", "9.0", "1e1", '"9"', "nine",
        "\u0669", "\u00b9\u00b2", "9" * 5000,
    )],
    [(S_BITS, None)],
    *[[(name, value)] for name in (S_TAKE, C_TAKE) for value in ("", "true", "1")],
    *[[(name, value), (name, value)] for name, value in (
        (S_TAKE, None), (C_TAKE, None), (S_BITS, "12"), (C_BITS, "12"),
    )],
    [(S_BITS, "12"), (S_BITS, "13")],
    [(C_TAKE, None), (S_TAKE, None), (C_TAKE, None)],
    [("unknown", None)],
    [("server_max_window_bit", "12")],
    [("Server_Max_Window_Bits", "12")],
    [("", None)],
    [(S_TAKE, None), ("mux", "1")],
]  # fmt: skip


@pytest.mark.parametrize("offer", [True, False])
@pytest.mark.parametrize("parameters", BAD)
def test_bad(parameters, offer):
    with pytest.raises(ValueError, match=r"twice|no value|8 to 15|not a parameter"):
        read_parameters(parameters, offer=offer)


def test_only_an_offer_may_leave_the_client_window_open():
    assert read_parameters([(C_BITS, None)], offer=True).client_max_window_bits == 15
    with pytest.raises(ValueError, match="8 to 15"):
        read_parameters([(C_BITS, None)], offer=False)


def test_open_and_a_number_are_two():
    with pytest.raises(ValueError, match="twice"):
        read_parameters([(C_BITS, None), (C_BITS, "10")], offer=True)


@pytest.mark.parametrize("take", [True, False])
@pytest.mark.parametrize("bits", [None, 8, 12, 15])
def test_written_and_read_again(take, bits):
    parameters = Parameters(
        server_no_context_takeover=take,
        client_no_context_takeover=not take,
        server_max_window_bits=bits,
        client_max_window_bits=bits,
    )
    assert read_parameters(parameters.as_answer(), offer=False) == parameters
    assert read_parameters(parameters.as_offer(), offer=True) == parameters


def test_offer_of_the_largest_window_is_bare():
    parameters = Parameters(server_max_window_bits=15, client_max_window_bits=15)
    assert list(parameters.as_offer()) == [(S_BITS, "15"), (C_BITS, None)]
    assert list(parameters.as_answer()) == [(S_BITS, "15"), (C_BITS, "15")]
