"""One attempt: a client of coredis for one server, checked, used, and left.

coredis' own reconnection is not used: each attempt has a new client without a retry policy, so
that an error is an error, at once.  A client is left by cancelling the scope around it, because
leaving it otherwise may wait for a server that is gone.
"""

from __future__ import annotations

import re
import secrets
import ssl
from collections.abc import Awaitable, Callable, Sequence

import coredis
import coredis.exceptions
import trio
from coredis.commands.request import CommandRequest
from coredis.connection import BaseConnection
from coredis.retry import NoRetryPolicy

from trio_wsendpoint.hub.errors import BackplaneError, BackplaneRefused
from trio_wsendpoint.hub.redis.answers import as_dict, as_list, as_text
from trio_wsendpoint.hub.redis.checks import check_fsync, check_info, read_info
from trio_wsendpoint.hub.redis.errors import LinkStale, tell
from trio_wsendpoint.hub.redis.settings import RedisSettings
from trio_wsendpoint.hub.redis.wire import Names

__all__ = ["Command", "Link", "Value", "hold"]

#: An answer as it came: bytes, an int, a list, a dict, None.  coredis types it no further.
Value = object
#: The words of a command, the name first.
Command = tuple[bytes | str | int, ...]

#: Connections of one client: for reading, for publishing, and for what is asked beside.
_CONNECTIONS = 4
_EPOCH = re.compile(r"[A-Za-z0-9_]{1,64}")


class Link:
    """A client that works: the server is what `settings` need, and was so at the start.

    `epoch`: of the server's contents; each life of them has its own, kept in a key.
    """

    def __init__(self, client: coredis.Redis[bytes], settings: RedisSettings, names: Names) -> None:
        self.client = client
        self.settings = settings
        self.names = names
        self.epoch = ""
        self._run = ""

    async def open(self) -> None:
        """Check the server; raise `BackplaneRefused`, or what is the matter with it."""
        info = await self._info()
        check_info(info, self.settings)
        if self.settings.durability == "always":
            check_fsync(await self._appendfsync(), self.settings)
        self._run = info.get("run_id", "")
        if self.settings.history is not None:
            self.epoch = await self._agree_on_epoch()

    @property
    def proof(self) -> Command:
        """The command whose answer shows that the server is still what it was.

        With a history, its epoch.  Without one, its role: PUBLISH succeeds at a replica too, and
        reaches that node's subscribers only.
        """
        return (b"ROLE",) if self.settings.history is None else (b"GET", self.names.epoch)

    def is_proven(self, answer: Value) -> bool:
        """Judge the answer to `proof`."""
        if self.settings.history is None:
            return _is_master(answer)
        return answer == self.epoch.encode()

    def stale(self) -> LinkStale:
        """Return the error for a `proof` that failed."""
        what = "is no master any more" if self.settings.history is None else "lost its contents"
        return LinkStale(f"Redis at {self.settings.address} {what}")

    async def check(self) -> None:
        """Raise `LinkStale` if the server has other contents now, or is no master any more."""
        role, proof = await self.ask([(b"ROLE",), self.proof])
        if not _is_master(role):
            raise LinkStale(f"Redis at {self.settings.address} is no master any more")
        if not self.is_proven(proof):
            raise self.stale()

    async def ask(self, commands: Sequence[Command]) -> list[Value]:
        """Send commands together over any connection, return their answers.

        Raises the first refusal.  If cancelled, other commands of the connection are not lost.
        """
        answers = await self.try_ask(commands)
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers

    @trio.lowlevel.enable_ki_protection
    async def try_ask(self, commands: Sequence[Command]) -> list[Value]:
        """As `ask`, but return a refusal in its place as an exception."""
        async with self.client.connection_pool.acquire() as connection:
            requests = [
                connection.create_request(*self.request(command), raise_exceptions=False)
                for command in commands
            ]
        answers: list[Value] = [await request for request in requests]
        for answer in answers:
            if isinstance(answer, (coredis.exceptions.ConnectionError, TimeoutError)):
                raise answer
        return answers

    def request(self, command: Command) -> tuple[bytes, ...]:
        """Return the words of a command as bytes."""
        return tuple(word if isinstance(word, bytes) else str(word).encode() for word in command)

    def batch(
        self, connection: BaseConnection, commands: Sequence[Command]
    ) -> Awaitable[Sequence[Value]]:
        """Send commands together over one connection, now; return what waits for the answers.

        An answer may be an exception.  Raises `coredis.exceptions.ConnectionError` if the
        connection is gone: then nothing was sent.
        """
        made: list[CommandRequest[Value]] = []
        for command in commands:
            name, *words = self.request(command)
            made.append(self.client.create_request(name, *words, callback=_as_it_is))
        return connection.create_request_batch(made)

    async def _info(self) -> dict[str, str]:
        [info] = await self.ask([(b"INFO",)])
        text = info if isinstance(info, bytes) else str(info).encode()
        return read_info(text.removeprefix(b"txt:"))

    async def _appendfsync(self) -> str | None:
        try:
            [found] = await self.ask([(b"CONFIG GET", b"appendfsync")])
        except coredis.exceptions.ResponseError:
            return None  # an operator may have taken CONFIG away
        value = as_dict(found).get(b"appendfsync")
        return None if value is None else as_text(value)

    async def _agree_on_epoch(self) -> str:
        """Return the epoch of the contents; make one where there is none."""
        mine = secrets.token_hex(8)
        key = self.names.epoch
        _, found = await self.ask([(b"SET", key, mine, b"NX"), (b"GET", key)])
        epoch = found.decode("ascii", "replace") if isinstance(found, bytes) else ""
        if not _EPOCH.fullmatch(epoch):
            name = key.decode()
            raise BackplaneRefused(f"the key {name!a} in Redis holds {epoch[:40]!a}: not an epoch")
        return epoch


@trio.lowlevel.enable_ki_protection
async def hold(
    settings: RedisSettings, names: Names, use: Callable[[Link], Awaitable[None]]
) -> BackplaneError:
    """Open a client, check the server, and `use` it until that fails; return why it ended.

    Leaves nothing behind.  If cancelled, raises `Cancelled` as soon as the client is left, which
    waits for no server.
    """
    failure: BaseException | None = None
    with trio.CancelScope() as scope:
        try:
            await _dial(settings)
            async with _client(settings) as client:
                try:
                    link = Link(client, settings, names)
                    await link.open()
                    await use(link)
                except Exception as error:  # noqa: BLE001 - kept, and told below
                    failure = error
                finally:
                    scope.cancel()
        except Exception as error:  # noqa: BLE001 - what coredis may raise is not listed anywhere
            failure = failure or error
        except BaseExceptionGroup as group:
            failures, others = group.split(Exception)
            failure = failure or failures
            if others is not None:
                raise others from None
    # coredis makes an error of its own of a cancellation that comes while it connects.
    await trio.lowlevel.checkpoint_if_cancelled()
    return tell(failure or LinkStale("the connection was given up"), settings.address)


async def _dial(settings: RedisSettings) -> None:
    """Raise `OSError` if there is no server: coredis would log that, and leave streams unclosed."""
    address = settings.address
    with trio.move_on_after(settings.connect_timeout) as scope:
        stream: trio.SocketStream
        if address.path:
            stream = await trio.open_unix_socket(address.path)
        else:
            stream = await trio.open_tcp_stream(address.host, address.port)
        await trio.aclose_forcefully(stream)
    if scope.cancelled_caught:
        raise TimeoutError(f"no connection within {settings.connect_timeout:g} s")


def _client(settings: RedisSettings) -> coredis.Redis[bytes]:
    """Make a client without any retry of its own, whose every answer has a deadline."""
    address = settings.address
    context = settings.ssl_context
    if address.is_tls and context is None:
        context = ssl.create_default_context()  # that of coredis checks no name
    return coredis.Redis(
        host=address.host or None,
        port=None if address.path else address.port,
        db=address.database,
        username=address.username,
        password=address.password,
        unix_socket_path=address.path or None,
        ssl_context=context,
        connect_timeout=settings.connect_timeout,
        stream_timeout=settings.answer_timeout,
        pool_timeout=settings.connect_timeout + settings.answer_timeout,
        max_connections=_CONNECTIONS,
        decode_responses=False,
        retry_policy=NoRetryPolicy(),
    )


def _is_master(role: Value) -> bool:
    return as_list(role)[:1] == [b"master"]


def _as_it_is(answer: Value, **_: object) -> Value:
    return answer
