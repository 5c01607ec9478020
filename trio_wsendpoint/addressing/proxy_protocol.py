"""Reads the header of the PROXY protocol, versions 1 and 2 (haproxy's text of 2020-03-05).

A proxy writes it before the first byte of a connection, TLS included, to tell whose connection it
hands on.  Outcomes of `ProxyReader.receive_data`: the `ProxyHeader`, once; `None`, for "not yet";
or `BadProxyHeader`.  What it promises:

1. The outcome depends on the bytes, never on how they were cut.
2. Not one byte behind the header is lost: `trailing` has them.  Where bytes cannot be put back,
   a read of at most `wanted` bytes never takes one of them.
3. It holds at most `MAX_SIZE` bytes of a header, and fails at the first byte that shows that no
   good header can follow.  That there is a header is never guessed.

A listener must take this header from trusted proxies alone: any client can write one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address

from trio_wsendpoint.addressing.ip import unmapped
from trio_wsendpoint.addressing.peer import Peer, PeerTLS, SocketAddress
from trio_wsendpoint.addressing.tlvs import (
    ALPN,
    AUTHORITY,
    TLV,
    UNIQUE_ID,
    check_sum,
    find,
    find_tls,
    parse_tlvs,
)
from trio_wsendpoint.errors import HandshakeError
from trio_wsendpoint.handshake.quoting import quoted

__all__ = ["MAX_SIZE", "BadProxyHeader", "NoProxyHeader", "ProxyHeader", "ProxyReader"]

#: Bytes of a whole header; certificates in it take some KiB.
MAX_SIZE = 4096

_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_FIXED = 16  # bytes of version 2 before the addresses
_V1 = b"PROXY "
_MAX_LINE = 107  # bytes of version 1, CR LF included
_SHORTEST_LINE = len(b"PROXY UNKNOWN\r\n")
_LINE_BYTES = bytes(range(0x20, 0x7F))
_PATH_SIZE = 108
# Family and protocol of version 2: how long the addresses are.  All others are illegal.
_STREAMS = {0x00: 0, 0x11: 12, 0x21: 36, 0x31: 2 * _PATH_SIZE}
_DATAGRAMS = frozenset({0x12, 0x22, 0x32})


class BadProxyHeader(HandshakeError):
    """The bytes are no correct PROXY header; the connection is dropped without an answer."""


class NoProxyHeader(BadProxyHeader):
    """The first bytes are not those of a PROXY header at all."""


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """What a PROXY header told.

    `version` is 1 or 2.  `is_local`: the proxy speaks for itself (LOCAL), as in a health check.
    `source`, `destination`: the client, and what it connected to; both None if the real ends of
    the connection hold (LOCAL, UNKNOWN).  `tls`: of the client's TLS, None if it came without.
    `authority`: the name that the client asked for (SNI); `alpn` and `unique_id` as they came.
    `fields`: every TLV, as type and value.
    """

    version: int
    is_local: bool = False
    source: SocketAddress | None = None
    destination: SocketAddress | None = None
    tls: PeerTLS | None = None
    authority: str | None = None
    alpn: bytes | None = None
    unique_id: bytes | None = None
    fields: tuple[TLV, ...] = ()

    def peer_behind(self, hop: Peer) -> Peer:
        """Return the client that the header of `hop`, a proxy, names; or `hop` itself."""
        if self.source is None:
            return hop
        through = hop.address if hop.transport == "tcp" else f"{hop.transport}:"
        return replace(
            hop,
            address=self.source.host,
            port=self.source.port,
            transport=self.source.family,
            tls=self.tls,
            proxies=(through or "", *hop.proxies),
        )


class ProxyReader:
    """Reads one header from the start of a connection."""

    __slots__ = ("_buffer", "complete", "trailing")

    def __init__(self) -> None:
        self._buffer = b""
        #: Whether the header has been returned.
        self.complete = False
        #: What has come behind the header.
        self.trailing = b""

    @property
    def wanted(self) -> int:
        """How many bytes a read may take at most, so as not to pass the end; 0 once complete."""
        if self.complete:
            return 0
        size = len(self._buffer)
        if size < _SHORTEST_LINE:
            return _SHORTEST_LINE - size  # of either version
        if self._buffer.startswith(_V1):
            return 1 if self._buffer.endswith(b"\r") else 2
        if size < _FIXED:
            return _FIXED - size
        return _FIXED + int.from_bytes(self._buffer[14:16], "big") - size

    def receive_data(self, data: bytes) -> ProxyHeader | None:
        """Return the header once `data` completes it, `None` before and after that.

        Raises `NoProxyHeader` if there is none, `BadProxyHeader` if it is malformed.
        """
        if self.complete:
            self.trailing += data
            return None
        self._buffer += data
        start = self._buffer[: len(_SIGNATURE)]
        if self._buffer.startswith(_V1):
            found = _parse_line(self._buffer)
        elif _SIGNATURE.startswith(start):
            found = _parse_binary(self._buffer)
        elif _V1.startswith(start):
            found = None
        else:
            right = max(_common(start, _V1), _common(start, _SIGNATURE))
            raise NoProxyHeader(f"no PROXY header, but {quoted(start[: right + 1])}")
        if found is None:
            return None
        header, size = found
        self.complete = True
        self.trailing = self._buffer[size:]
        self._buffer = b""
        return header

    def receive_eof(self) -> None:
        """Take the end of the stream; raises as `receive_data` unless the header is complete."""
        if self.complete:
            return
        if not self._buffer:
            raise NoProxyHeader("the connection ended before a PROXY header")
        raise BadProxyHeader(f"the connection ended {len(self._buffer)} bytes into a PROXY header")


def _common(one: bytes, other: bytes) -> int:
    """Return how many bytes both begin with."""
    return next(
        (at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b),
        min(len(one), len(other)),
    )


# ---- version 1: a line of text -------------------------------------------------------------------


def _parse_line(buffer: bytes) -> tuple[ProxyHeader, int] | None:
    end = buffer.find(b"\r", 0, _MAX_LINE - 1)
    line = buffer[: _MAX_LINE - 1 if end < 0 else end]
    if foreign := line.translate(None, _LINE_BYTES):
        raise BadProxyHeader(f"the byte {quoted(foreign[:1])} in a PROXY line")
    if end < 0:
        if len(line) == _MAX_LINE - 1:
            raise BadProxyHeader(f"a PROXY line of more than {_MAX_LINE} bytes")
        return None
    if len(buffer) == end + 1:
        return None
    if buffer[end + 1 : end + 2] != b"\n":
        raise BadProxyHeader("a bare CR in a PROXY line")
    return _header_of_line(line.decode("ascii")), end + 2


def _header_of_line(line: str) -> ProxyHeader:
    family, *rest = line.split(" ")[1:]
    if family == "UNKNOWN":
        return ProxyHeader(1)  # section 2.1: anything before the CRLF is ignored
    if family not in {"TCP4", "TCP6"} or len(rest) != 4:
        raise BadProxyHeader(f"{quoted(line)} is not a PROXY line")
    parse = IPv4Address if family == "TCP4" else IPv6Address
    try:
        source, destination = (
            SocketAddress(_host(parse, host), _port(port))
            for host, port in zip(rest[:2], rest[2:], strict=True)
        )
    except ValueError as error:
        raise BadProxyHeader(f"{quoted(line)} is not a PROXY line: {error}") from None
    return ProxyHeader(1, source=source, destination=destination)


def _host(parse: type[IPv4Address | IPv6Address], text: str) -> str:
    if "%" in text:
        raise ValueError(f"{quoted(text)} has a scope id")
    return str(unmapped(parse(text)))


def _port(text: str) -> int:
    if text.isdigit() and len(text) <= 5 and str(int(text)) == text and int(text) <= 65535:
        return int(text)
    raise ValueError(f"{quoted(text)} is not a port (0 to 65535, no leading zero)")


# ---- version 2: binary ---------------------------------------------------------------------------


def _parse_binary(buffer: bytes) -> tuple[ProxyHeader, int] | None:
    # Each byte is judged as soon as it has come, in the order in which they come.
    size = len(buffer)
    if size > 12 and buffer[12] not in {0x20, 0x21}:
        version, command = divmod(buffer[12], 16)
        raise BadProxyHeader(f"PROXY version {version}, command {command}: expected 2, and 0 or 1")
    is_local = size > 12 and buffer[12] == 0x20
    if size > 13 and not is_local and buffer[13] not in _STREAMS:
        which = "datagrams" if buffer[13] in _DATAGRAMS else "an unknown family or protocol"
        raise BadProxyHeader(f"a PROXY header for {which} ({buffer[13]:#04x})")
    if size < _FIXED:
        return None
    end = _FIXED + int.from_bytes(buffer[14:16], "big")
    if end > MAX_SIZE:
        raise BadProxyHeader(f"a PROXY header of {end} bytes: at most {MAX_SIZE} are read")
    addresses = 0 if is_local else _STREAMS[buffer[13]]
    if end < _FIXED + addresses:
        raise BadProxyHeader(f"{end - _FIXED} bytes where the addresses have {addresses}")
    if size < end:
        return None
    if addresses == 0:
        # Section 2.2: of LOCAL everything is skipped, and so it is of an unknown family.
        return ProxyHeader(2, is_local=is_local), end
    return _header_of_binary(buffer[:end], _FIXED + addresses), end


def _header_of_binary(header: bytes, start: int) -> ProxyHeader:
    try:
        fields = parse_tlvs(header[start:])
        check_sum(header, start, fields)
        tls = find_tls(fields)
    except ValueError as error:
        raise BadProxyHeader(f"a PROXY header: {error}") from None
    source, destination = _addresses(header[13], header[_FIXED:start])
    return ProxyHeader(
        2,
        source=source,
        destination=destination,
        tls=tls,
        authority=_name(find(fields, AUTHORITY)),
        alpn=find(fields, ALPN),
        unique_id=find(fields, UNIQUE_ID),
        fields=fields,
    )


def _addresses(family: int, block: bytes) -> tuple[SocketAddress, SocketAddress]:
    if family == 0x31:
        return _path(block[:_PATH_SIZE]), _path(block[_PATH_SIZE:])
    size = 4 if family == 0x11 else 16
    parse = IPv4Address if family == 0x11 else IPv6Address
    ports = block[2 * size :]
    return (
        SocketAddress(str(parse(block[:size])), int.from_bytes(ports[:2], "big")),
        SocketAddress(str(parse(block[size : 2 * size])), int.from_bytes(ports[2:], "big")),
    )


def _path(block: bytes) -> SocketAddress:
    """Return a Unix address: up to the first NUL; an abstract one has a NUL first."""
    is_abstract = block[0] == 0 and block[1] != 0
    name = block[1 if is_abstract else 0 :].partition(b"\0")[0].decode(errors="surrogateescape")
    return SocketAddress(f"@{name}" if is_abstract else name, family="unix")


def _name(value: bytes | None) -> str | None:
    """Return the authority, which is UTF-8 (section 2.2.2); one that is not says nothing."""
    if value is None:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None
