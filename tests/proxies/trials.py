"""What each set-up is tried with: one function a column of the table.

A trial returns "ok", or in a few words what happened instead.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import trio

from trio_wsendpoint import ConnectionClosed, HandshakeRefused

from .programs import PATIENCE
from .setups import Setup
from .world import CLIENT, MIB, SERVERS_CODE, World, first_line, open_world

__all__ = ["COLUMNS", "QUICK", "check_of_haproxy", "origin", "try_row"]

Trial = Callable[[World], Awaitable[str]]

#: Seconds of silence, longer than a `proxy_read_timeout 3s`.
IDLE = 4.5
CLIENTS_CODE = 4001
RESTART = "restart of the proxy"


async def talk(world: World) -> str:
    """Send 1 MiB each way; then close with a code from either side."""
    async with world.connect() as connection:
        payload = bytes(range(256)) * (MIB // 256)
        await connection.send(payload)
        if await connection.receive() != payload:
            return "another message came back"
        await connection.aclose(CLIENTS_CODE)
    async with world.connect() as connection:
        await connection.send("close")
        try:
            await connection.receive()
        except ConnectionClosed as error:
            if error.code != SERVERS_CODE:
                return f"the client saw {error.code}"
    await _until_ended(world, 2)
    if world.codes != [CLIENTS_CODE, SERVERS_CODE]:
        return f"the server saw {world.codes}"
    return "ok"


async def _until_ended(world: World, count: int) -> None:
    while len(world.codes) < count:
        await trio.sleep(0.01)


async def origin(world: World) -> str:
    """Connect as the page of this site, and as another's, which must be refused."""
    async with world.connect(origin=f"http://{world.place.authority}") as connection:
        await connection.send("hello")
        await connection.receive()
    try:
        async with world.connect(origin="http://evil.example"):
            return "another site's page came in"
    except HandshakeRefused as error:
        if error.response.status != 403:
            return f"another site's page got {error.response.status}"
    return "ok"


async def address(world: World) -> str:
    """Ask which address the server sees, once with a forged header in addition."""
    for headers in ({}, {"X-Forwarded-For": "192.0.2.66", "Forwarded": "for=192.0.2.66"}):
        async with world.connect(headers=headers) as connection:
            await connection.send("who")
            if (seen := await connection.receive_text()) != CLIENT:
                return f"the server saw {seen}"
    return "ok"


async def health(world: World) -> str:
    """Ask for a page through the proxy; ask haproxy what its own check has found."""
    stream = await world.open_stream()
    async with stream:
        request = f"GET /health HTTP/1.1\r\nHost: {world.place.authority}\r\n"
        await stream.send_all(f"{request}Connection: close\r\n\r\n".encode())
        answer = b"".join([bytes(data) async for data in stream])
    if not answer.startswith(b"HTTP/1.1 200 ") or CLIENT.encode() not in answer:
        return first_line(answer.decode())
    if world.setup.program == "haproxy":
        while (await check_of_haproxy(world))[0] not in {"L4OK", "L7OK"}:
            await trio.sleep(0.05)
    return "ok"


async def check_of_haproxy(world: World) -> tuple[str, str]:
    """Return what haproxy's last health check has found, and the status that it got."""
    stream = await trio.open_unix_socket(str(world.place.folder / "stats"))
    async with stream:
        await stream.send_all(b"show stat\n")
        lines = b"".join([bytes(data) async for data in stream]).decode().splitlines()
    names = lines[0].removeprefix("# ").split(",")
    [row] = [line.split(",") for line in lines if line.startswith("web,one,")]
    return row[names.index("check_status")], row[names.index("check_code")]


async def idle(world: World) -> str:
    """Say nothing for a while; this takes real seconds, so that `make test` leaves it out."""
    async with world.connect() as connection:
        await trio.sleep(IDLE)
        await connection.send("hello")
        await connection.receive()
    return "ok"


async def restart(world: World) -> str:
    """End the proxy under a connection, and start it again; none runs before."""
    ended = len(world.codes)
    async with world.proxy() as stop, world.connect() as connection:
        await connection.send("hello")
        await connection.receive()
        await stop()
        try:
            await connection.receive()
        except ConnectionClosed:
            pass
    await _until_ended(world, ended + 1)
    if world.server.connections:
        return "the server has kept the connection"
    async with world.proxy():
        return await origin(world)


#: The columns of the table.
COLUMNS: dict[str, Trial] = {
    "1 MiB and close": talk,
    "Origin of a page": origin,
    "client's address": address,
    "health check": health,
    "idle": idle,
    RESTART: restart,
}
#: Those that need no real seconds.
QUICK = tuple(name for name in COLUMNS if name != "idle")


async def _try(world: World, column: str) -> str:
    """Return the cell of a column; what its trial raises becomes the text."""
    try:
        with trio.fail_after(PATIENCE):
            return await COLUMNS[column](world)
    except HandshakeRefused as error:
        return first_line(f"{error.response.status}: {error.response.body.decode()}")
    except (ConnectionClosed, trio.TooSlowError, OSError, RuntimeError) as error:
        return first_line(str(error) or type(error).__name__)


async def try_row(setup: Setup, folder: Path, columns: Iterable[str]) -> dict[str, str]:
    """Return the cells of one set-up, each tried behind a fresh server, in `folder`."""
    async with open_world(setup, folder) as world:
        try:
            async with world.proxy():
                cells = {one: await _try(world, one) for one in columns if one != RESTART}
        except RuntimeError as error:  # it does not start
            return dict.fromkeys(columns, first_line(str(error)[-160:]))
        if RESTART in columns:
            cells[RESTART] = await _try(world, RESTART)
    return cells
