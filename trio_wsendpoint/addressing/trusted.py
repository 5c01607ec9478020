"""Tells which hops are trusted proxies."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network

from trio_wsendpoint.addressing.ip import IPAddress, parse_ip
from trio_wsendpoint.addressing.peer import Peer
from trio_wsendpoint.handshake.quoting import quoted

__all__ = ["TrustedProxies"]

_MAPPED = IPv6Network("::ffff:0:0/96")
_EXPECTED = "expected an IP address, a network as '10.0.0.0/8', or 'unix:'"


class TrustedProxies:
    """The proxies in front of a server, by address.

    `proxies`: IP addresses (`"10.1.2.3"`), networks (`"10.0.0.0/8"`, `"2001:db8::/32"`), and
    `"unix:"` for all that connects to a Unix socket of ours.  None of them are trusted by
    default.  Raises `ValueError` for anything else, and for a network with bits behind its
    prefix (`"10.1.2.3/8"`); `TypeError` for one string in place of several, or no string.
    """

    __slots__ = ("_networks", "_trusts_unix")

    def __init__(self, proxies: Iterable[str] = ()) -> None:
        if isinstance(proxies, str):
            raise TypeError(f"trusted proxies come as a list of strings, not as {proxies!r}")
        networks: list[IPv4Network | IPv6Network] = []
        self._trusts_unix = False
        for proxy in proxies:
            if not isinstance(proxy, str):
                raise TypeError(f"a trusted proxy is a string, not {quoted(repr(proxy))}")
            if proxy == "unix:":
                self._trusts_unix = True
            else:
                networks.append(_network(proxy))
        self._networks = tuple(networks)

    def __bool__(self) -> bool:
        return self._trusts_unix or bool(self._networks)

    def trusts(self, address: IPAddress) -> bool:
        """Tell whether the hop at `address` is a trusted proxy."""
        return any(address in network for network in self._networks)

    def trusts_peer(self, peer: Peer) -> bool:
        """Tell whether `peer` is a trusted proxy.

        A Unix socket is trusted if it is one of ours, not if a PROXY header told of it.
        """
        if peer.transport == "unix":
            return self._trusts_unix and not peer.proxies
        if peer.transport != "tcp" or peer.address is None:
            return False
        try:
            # The scope id of a link-local address says by which interface it came.
            return self.trusts(parse_ip(peer.address.partition("%")[0]))
        except ValueError:
            return False


def _network(text: str) -> IPv4Network | IPv6Network:
    if "%" in text:
        raise ValueError(f"trusted proxy {quoted(text)} has a scope id: {_EXPECTED}")
    try:
        network = ip_network(text)
    except ValueError:
        raise ValueError(_explain(text)) from None
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        # Peers are unmapped before they are compared: so is what they are compared with.
        mapped = network.network_address.ipv4_mapped
        return IPv4Network(f"{mapped}/{network.prefixlen - _MAPPED.prefixlen}")
    return network


def _explain(text: str) -> str:
    """Say what is wrong with a network; of one with bits behind its prefix, what was meant."""
    try:
        meant = ip_network(text, strict=False)
    except ValueError:
        return f"trusted proxy {quoted(text)} is no address: {_EXPECTED}"
    return f"trusted proxy {quoted(text)} has bits behind its prefix: did you mean '{meant}'?"
