"""A nursery that a block holds: what its tasks raise, and which error leaves the block."""

from __future__ import annotations

import pytest
import trio

from trio_wsendpoint.entries.nurseries import BlockNursery, raise_beside


class BlockError(Exception):
    """What a test raises."""


async def test_a_block_nursery_returns_what_its_tasks_raised() -> None:
    async def fail() -> None:
        raise BlockError("task")

    async def fail_twice() -> None:
        raise ExceptionGroup("two", [BlockError("a"), BlockError("b")])

    block = BlockNursery()
    (await block.enter()).start_soon(trio.lowlevel.checkpoint)
    assert await block.leave() is None

    block = BlockNursery()
    (await block.enter()).start_soon(fail)
    error = await block.leave()
    assert isinstance(error, BlockError)

    block = BlockNursery()
    (await block.enter()).start_soon(fail_twice)
    error = await block.leave()
    assert isinstance(error, ExceptionGroup)
    assert error.message == "two"


def test_what_comes_up_beside_the_block_s_error() -> None:
    block, other = ValueError("block"), BlockError("other")
    raise_beside(block, None)
    raise_beside(block, block)
    with pytest.raises(BlockError):
        raise_beside(None, other)
    with pytest.raises(ExceptionGroup) as caught:
        raise_beside(block, other)
    assert caught.value.exceptions == (block, other)


def test_a_ctrl_c_leaves_in_no_group() -> None:
    first, second = KeyboardInterrupt("first"), KeyboardInterrupt("second")
    for block in (ValueError("block"), first):
        with pytest.raises(KeyboardInterrupt, match="second"):
            raise_beside(block, second)
