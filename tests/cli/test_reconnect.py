"""`connect --reconnect`: one conversation over several connections."""

from __future__ import annotations

import pytest
import trio

from tests.cli.helpers import Memory
from trio_wsendpoint import Response, serve_endpoint
from trio_wsendpoint.cli.connect import stay_connected, with_output
from trio_wsendpoint.cli.opening import Plan, Target
from trio_wsendpoint.cli.outcome import Status, outcome_of_error
from trio_wsendpoint.cli.stopping import Stop
from trio_wsendpoint.cli.talk import Manner
from trio_wsendpoint.testing import MemoryNetwork


async def run(handler, *, manner=None, lines=(), stop=None, **server):
    """What a conversation with `handler` comes to, and what it writes."""
    network, memory = MemoryNetwork(), Memory()
    plan = Plan.of(Target(url="ws://server/", proxy="none"))
    plan.options["open_stream"] = network.open_stream

    async def read(messages):
        async with messages:
            for line in lines:
                await messages.send(line)

    async with serve_endpoint(handler, listeners=[network.listen()], **server):

        async def program():
            return await stay_connected(
                plan, memory.output, stop or Stop(), manner=manner or Manner(), read=read
            )

        return await with_output(memory.output, program), memory


async def test_it_goes_on_after_a_loss(autojump_clock):
    visits = []

    async def handler(connection):
        visits.append(connection)
        await connection.send(f"visit {len(visits)}")
        if len(visits) < 3:
            await trio.aclose_forcefully(connection.tasks.stream)
        await connection.wait_closed()

    outcome, memory = await run(handler, manner=Manner(count=3))
    assert outcome.status == Status.DONE
    assert memory.data == b"visit 1\nvisit 2\nvisit 3\n"
    assert sum("trying again in" in note for note in memory.notes) == 2


async def test_it_stops_at_what_no_try_helps(autojump_clock):
    async def handler(connection):
        await connection.aclose(4401, "token expired")

    with pytest.raises(ExceptionGroup) as caught:
        await run(handler)
    outcome = outcome_of_error(caught.value)
    assert outcome.status == Status.CLOSED
    assert outcome.line is not None
    assert "no further try after 1" in outcome.line


async def test_a_refusal_that_no_try_helps(autojump_clock):
    async def never(connection):
        raise AssertionError("it is refused")

    async def refuse(opening):
        return Response(403)

    with pytest.raises(ExceptionGroup) as caught:
        await run(never, process_request=refuse)
    assert outcome_of_error(caught.value).status == Status.REFUSED


async def test_the_end_of_the_input_ends_it(autojump_clock):
    async def echo(connection):
        async for message in connection:
            await connection.send(message)

    outcome, memory = await run(echo, lines=["a", "b"])
    assert outcome.status == Status.DONE
    assert memory.data == b"a\nb\n"
