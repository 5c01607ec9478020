"""The other end of a connection, and the addresses of listeners; without I/O.

`Peer` is the other end as a value.  `ProxyReader` and `Forwarding` find the client behind trusted
proxies; `parse_listen` and `parse_listen_fds` read the addresses of listeners.
"""

from __future__ import annotations

from trio_wsendpoint._public import publish
from trio_wsendpoint.addressing.forwarding import BadForwarding, Client, Forwarding
from trio_wsendpoint.addressing.inherited import (
    LISTEN_VARIABLES,
    InheritedSocket,
    claim_inherited,
    parse_listen_fds,
)
from trio_wsendpoint.addressing.listeners import (
    FdAddress,
    ListenAddress,
    SystemdAddress,
    TCPAddress,
    UnixAddress,
    parse_listen,
)
from trio_wsendpoint.addressing.peer import Peer, PeerTLS, SocketAddress
from trio_wsendpoint.addressing.proxy_protocol import (
    BadProxyHeader,
    NoProxyHeader,
    ProxyHeader,
    ProxyReader,
)
from trio_wsendpoint.addressing.trusted import TrustedProxies

__all__ = [
    "LISTEN_VARIABLES",
    "BadForwarding",
    "BadProxyHeader",
    "Client",
    "FdAddress",
    "Forwarding",
    "InheritedSocket",
    "ListenAddress",
    "NoProxyHeader",
    "Peer",
    "PeerTLS",
    "ProxyHeader",
    "ProxyReader",
    "SocketAddress",
    "SystemdAddress",
    "TCPAddress",
    "TrustedProxies",
    "UnixAddress",
    "claim_inherited",
    "parse_listen",
    "parse_listen_fds",
]

publish(globals(), __all__)
