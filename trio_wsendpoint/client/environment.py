"""Finds the proxy that the environment names for a server, as curl does.

For `wss://`: `wss_proxy`, `https_proxy`, `all_proxy`; for `ws://`: `ws_proxy`, `http_proxy`,
`all_proxy`; of each first the name in lower case, then in upper case.  `HTTP_PROXY` is never
read: in a CGI program a client sets it, with its `Proxy` header.  An empty value is none.

`no_proxy` (or `NO_PROXY`) names servers that are connected to directly: entries between commas or
blanks, each a name (which holds for what is below it as well, with a leading dot or without), an
address, a network as `10.0.0.0/8`, each of them with `:port` or without; `*` is every server.  No
name is looked up for that.  An entry that is none of these is ignored, as curl does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from trio_wsendpoint.client.proxy_url import Proxy
from trio_wsendpoint.handshake import WebSocketURL

__all__ = ["is_exempt", "proxy_from_environment"]

#: An address or a name before its port; an IPv6 address in brackets has colons of its own.
_WITH_PORT = re.compile(r"(\[[^\]]*\](?:/\d+)?|[^:\[\]]*):(\d{1,5})")


def proxy_from_environment(target: WebSocketURL, environ: Mapping[str, str]) -> Proxy | None:
    """Return the proxy for `target`, None for none; raises `ValueError` for one that is no URL.

    The error names the variable, and shows neither user nor password.  A value without a scheme
    is that of an HTTP proxy.
    """
    names = ["wss_proxy", "https_proxy"] if target.secure else ["ws_proxy", "http_proxy"]
    for name in [*names, "all_proxy"]:
        spellings = (name,) if name == "http_proxy" else (name, name.upper())
        for spelling in spellings:
            value = environ.get(spelling, "").strip()
            if not value:
                continue
            if is_exempt(target.host, target.port, _no_proxy(environ)):
                return None
            try:
                return Proxy.parse(value if "://" in value else f"http://{value}")
            except ValueError as error:
                raise ValueError(f"the environment's {spelling}: {error}") from None
    return None


def _no_proxy(environ: Mapping[str, str]) -> str:
    return environ.get("no_proxy") or environ.get("NO_PROXY") or ""


def is_exempt(host: str, port: int, no_proxy: str) -> bool:
    """Tell whether the entries of `no_proxy` include a server."""
    host = host.partition("%")[0].removesuffix(".").lower()
    try:
        address = _plain(ip_address(host))
    except ValueError:
        address = None
    return any(_includes(entry, host, address, port) for entry in re.split(r"[,\s]+", no_proxy))


def _includes(entry: str, host: str, address: IPv4Address | IPv6Address | None, port: int) -> bool:
    if entry == "*":
        return True
    if (matched := _WITH_PORT.fullmatch(entry)) is not None:
        entry = matched[1]
        if int(matched[2]) != port:
            return False
    if address is not None:
        try:
            network = ip_network(entry.replace("[", "").replace("]", ""), strict=False)
        except ValueError:
            return False
        return address in network
    name = entry.lower().lstrip(".").removesuffix(".")
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _plain(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address that an IPv4-mapped one stands for."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped
