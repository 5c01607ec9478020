"""Lines between a worker and its parent, cut anywhere and broken in every way."""

from __future__ import annotations

from typing import Any

import pytest

from trio_wsendpoint.workers.messages import MOST, LineReader, Orders, encode


def test_messages_come_whole_however_they_are_cut() -> None:
    messages: list[dict[str, Any]] = [{"ready": True}, {"ask": 1}, {"text": "a\nb \u00e9"}]
    data = b"".join(map(encode, messages))
    for step in (1, 2, 7, len(data)):
        reader = LineReader()
        found = []
        for at in range(0, len(data), step):
            found += reader.feed(data[at : at + step])
        assert found == messages


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"nonsense\n", "no JSON"),
        (b"\xff\n", "no JSON"),
        (b"[" * 100_000 + b"\n", "no JSON"),
        (b"[1]\n", "no object"),
        (b"\n", "no JSON"),
        (b"x" * (MOST + 1), "more than"),
        (b"x" * (MOST + 1) + b"\n", "more than"),
    ],
)
def test_what_is_no_message(data: bytes, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        LineReader().feed(data)


def test_orders() -> None:
    orders = Orders(
        place=1,
        number=7,
        target={"name": "main", "module": "app", "file": ""},
        arguments=["a", "\u00e9"],
        sockets=[(3, True), (4, False)],
        drain=1.5,
        log=None,
        path=["/app"],
    )
    again = Orders.from_line(orders.to_line())
    assert [tuple(pair) for pair in again.sockets] == orders.sockets
    assert again.target == orders.target
    assert (again.number, again.arguments, again.path) == (7, ["a", "\u00e9"], ["/app"])
    with pytest.raises(TypeError):
        Orders.from_line(b'{"place": 1}\n')
