"""A server whose users log in, with a cookie or with a bearer token.

    python examples/login_server.py 8765

Try `trio-wsendpoint connect ws://localhost:8765/ -H "Authorization: Bearer t0ken-of-ann"`.
"""

from __future__ import annotations

import sys

import trio

from trio_wsendpoint import Connection, Opening, Response, serve_endpoint
from trio_wsendpoint.http import are_equal, bearer_token

#: In real life: sessions in a store that expire, tokens in a database, as hashes.
SESSIONS = {"s3ssion-of-ann": "ann"}
TOKENS = {"t0ken-of-ann": "ann"}


async def find_user(secret: str, secrets: dict[str, str]) -> str | None:
    """Look `secret` up as a database would, in a time that tells nothing about it."""
    await trio.lowlevel.checkpoint()
    return next((user for one, user in secrets.items() if are_equal(one, secret)), None)


async def log_in(opening: Opening) -> Response | None:
    """Look the user up once, before the 101, and hand it to the handler."""
    session = opening.request.cookies.get("session")
    if session is not None:  # of a browser, whose page the Origin rule has checked
        user = await find_user(session, SESSIONS)
    else:  # `bearer_token` raises a 401 with its challenge if there is none
        user = await find_user(bearer_token(opening.request), TOKENS)
    if user is None:
        return Response(401, {"WWW-Authenticate": "Bearer"}, "who are you?\n")
    opening.state.user = user
    return None


async def greet(connection: Connection) -> None:
    """Be the handler: the user is known."""
    await connection.send(f"hello {connection.state.user} at {connection.peer!r}")
    async for message in connection:
        await connection.send(message)


async def main(port: int) -> None:
    async with serve_endpoint(greet, port, process_request=log_in) as server:
        print("listening on", *server.urls, flush=True)
        await trio.sleep_forever()


if __name__ == "__main__":
    try:
        trio.run(main, int(sys.argv[1]) if sys.argv[1:] else 8765)
    except* KeyboardInterrupt:
        pass
