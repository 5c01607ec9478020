"""Opens a tunnel through a SOCKS proxy (RFC 1928, RFC 1929), with python-socks.

The only module that imports python-socks, which is in the extra `proxy`, and only when a tunnel is
opened.  It speaks over a stream that is connected already: so a tunnel goes over any stream, and
its bytes pass through here, where the last reply is kept to tell a refusal from nonsense.
"""

from __future__ import annotations

import math
import socket
from typing import Any

import trio

from trio_wsendpoint.client.dialing import place
from trio_wsendpoint.client.proxy_errors import ProxyError, ProxyRefused
from trio_wsendpoint.client.proxy_url import Proxy
from trio_wsendpoint.handshake.quoting import quoted

__all__ = ["check_python_socks", "open_socks_tunnel"]

#: What the codes of a SOCKS5 reply mean (RFC 1928 section 6), and whether that is for now.
_SOCKS5_REPLIES: dict[int, tuple[str, bool]] = {
    1: ("general failure", False),
    2: ("not allowed by its rules", True),
    3: ("network unreachable", False),
    4: ("host unreachable", False),
    5: ("connection refused by the server", False),
    6: ("TTL expired", False),
    7: ("it cannot CONNECT", True),
    8: ("it does not take this kind of address", True),
}
#: The same of SOCKS4.
_SOCKS4_REPLIES: dict[int, tuple[str, bool]] = {
    0x5B: ("rejected or failed", False),
    0x5C: ("it cannot ask our identd", True),
    0x5D: ("our identd names another user", True),
}
_NO_METHOD = b"\x05\xff"


def check_python_socks(proxy: Proxy) -> None:
    """Raise `ModuleNotFoundError` if `proxy` takes SOCKS and python-socks is not installed."""
    if proxy.is_http:
        return
    from importlib.util import find_spec  # noqa: PLC0415 - nothing else needs it

    if find_spec("python_socks") is None:
        raise ModuleNotFoundError(
            f"a {proxy.scheme}:// proxy needs python-socks: pip install 'trio-wsendpoint[proxy]'",
            name="python_socks",
        )


async def open_socks_tunnel(stream: trio.abc.Stream, proxy: Proxy, host: str, port: int) -> None:
    """Ask the SOCKS proxy at the other end of `stream` to connect to a host and a port.

    When it returns, what is sent over `stream` goes there.  A proxy that does not look names up
    (`socks4`, `socks5`) is given an address, IPv4 if there is one.  Raises `ProxyRefused`,
    `ProxyError`, and `socket.gaierror` for a name without an address.  The caller closes the
    stream after an error, or if cancelled.
    """
    check_python_socks(proxy)
    from python_socks import ProxyError as BadAnswer  # noqa: PLC0415 - only when it is needed
    from python_socks import ProxyType  # noqa: PLC0415
    from python_socks.async_.trio.v2 import Proxy as Connector  # noqa: PLC0415

    is_socks4 = proxy.scheme in {"socks4", "socks4a"}
    if not proxy.looks_up_names:
        host = await _look_up(host, port, only_ipv4=is_socks4)
    conversation = _Conversation(stream)
    # What it takes for another proxy in front of this one is our stream.
    already_connected: Any = _AlreadyConnected(conversation)
    connector = Connector(
        ProxyType.SOCKS4 if is_socks4 else ProxyType.SOCKS5,
        proxy.host,
        proxy.port,
        username=None if proxy.user is None else proxy.user.decode("ascii"),
        password=None if proxy.password is None else proxy.password.decode("ascii"),
        rdns=True,
        forward=already_connected,
    )
    try:
        await connector.connect(host, port, timeout=math.inf)
    except (BadAnswer, UnicodeError) as error:
        code = getattr(error, "error_code", None)
        raise _judge(proxy, place(host, port), conversation.reply, code, error) from error
    except (trio.BrokenResourceError, trio.ClosedResourceError, EOFError) as error:
        why = error.__cause__ or error
        raise ProxyError(
            f"no way through {proxy}: the connection to it was lost: {why}", str(proxy)
        ) from error


async def _look_up(host: str, port: int, *, only_ipv4: bool) -> str:
    """Return an address of a host; raises `socket.gaierror`."""
    family = socket.AF_INET if only_ipv4 else socket.AF_UNSPEC
    try:
        found = await trio.socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
    except socket.gaierror as error:
        text = f"no address of the host {host!a} was found: {error.strerror}"
        raise socket.gaierror(error.errno, text) from error
    found.sort(key=lambda entry: entry[0] != socket.AF_INET)
    return str(found[0][4][0])


def _judge(
    proxy: Proxy, target: str, reply: bytes, code: int | None, error: Exception
) -> ProxyError:
    """Return what to raise for the answer of a proxy that does not connect."""
    replies = _SOCKS4_REPLIES if proxy.scheme in {"socks4", "socks4a"} else _SOCKS5_REPLIES
    refused = f"{proxy} refused to connect to {target}"
    if code is not None and code in replies:
        text, is_final = replies[code]
        return ProxyRefused(f"{refused}: {text}", str(proxy), status=int(code), is_final=is_final)
    if replies is _SOCKS5_REPLIES and reply == _NO_METHOD:
        wants = "user and password" if proxy.user is None else "another way to log in"
        return ProxyRefused(f"{refused}: it wants {wants}", str(proxy))
    if replies is _SOCKS5_REPLIES and len(reply) == 2 and reply[0] == 1 and reply[1]:
        return ProxyRefused(f"{refused}: it does not take this user and password", str(proxy))
    hint = "; is it an http:// proxy?" if reply.startswith((b"H", b"4")) else ""
    text = f"its answer {quoted(reply)} is none of SOCKS: {quoted(str(error))[1:-1]}{hint}"
    return ProxyError(f"no way through {proxy}: {text}", str(proxy))


class _AlreadyConnected:
    """Looks to python-socks like a proxy in front of the one that is asked."""

    def __init__(self, conversation: _Conversation) -> None:
        self._conversation = conversation

    async def connect(self, dest_host: str, dest_port: int) -> _Conversation:
        await trio.lowlevel.checkpoint_if_cancelled()
        return self._conversation


class _Conversation:
    """A stream as python-socks has it.  Never reads more than it is asked for.

    `reply`: what was read since the last write.
    """

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.reply = b""
        self._stream = stream

    async def write(self, data: bytes) -> None:
        self.reply = b""
        await self._stream.send_all(data)

    async def read_exactly(self, size: int) -> bytes:
        wanted = len(self.reply) + size
        while len(self.reply) < wanted:
            data = await self._stream.receive_some(wanted - len(self.reply))
            if not data:
                told = f" after {quoted(self.reply)}" if self.reply else ""
                raise EOFError(f"it closed it before it had answered{told}")
            self.reply += data
        return self.reply[wanted - size :]

    async def close(self) -> None:
        """Leave the stream open: the caller closes it."""
        await trio.lowlevel.checkpoint_if_cancelled()
