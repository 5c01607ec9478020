"""A block is entered once; what is used outside of it says so."""

from __future__ import annotations

import pytest

from trio_wsendpoint.connection.block_use import BlockUse


def test_it_is_open_between_open_and_close() -> None:
    use = BlockUse("once")
    with pytest.raises(RuntimeError, match="this cannot send: enter it with `async with` first"):
        use.check_open("this cannot send")
    use.begin()
    assert not use.is_open
    use.open()
    use.check_open("this cannot send")
    use.close()
    with pytest.raises(RuntimeError, match="this cannot send: it is over"):
        use.check_open("this cannot send")


def test_it_is_entered_once_whether_or_not_entering_succeeds() -> None:
    use = BlockUse("it is entered once: make another")
    use.check_new()
    use.begin()
    for again in (use.begin, use.check_new):
        with pytest.raises(RuntimeError, match="it is entered once: make another"):
            again()
