"""Which streams a server takes: how many of them, and how many and how fast from one address.

`Admission` decides and counts; it does no I/O.  `admit` returns None, or in a few words why not,
which a client is told with 503.
"""

from __future__ import annotations

from collections import Counter
from ipaddress import AddressValueError, IPv6Address

from trio_wsendpoint.options import ServerLimits
from trio_wsendpoint.session.rates import RateLimit

__all__ = ["Admission", "address_key"]

#: Addresses whose rates are remembered at least, before those that have gone quiet are forgotten.
_SWEEP = 1024


class Admission:
    """Counts the streams that a server holds, per address where they have one.

    Addresses are compared as addresses: an IPv4-mapped one is the IPv4 address, and IPv6 ones
    that share the first `ServerLimits.ipv6_prefix` bits are one, for a single host has them all.
    """

    def __init__(self, limits: ServerLimits) -> None:
        self._limits = limits
        self._count = 0
        self._by_address: Counter[str] = Counter()
        self._rates: dict[str, RateLimit] = {}
        self._sweep_at = _SWEEP

    @property
    def counts_addresses(self) -> bool:
        """Whether an address makes a difference."""
        limits = self._limits
        return limits.connections_per_address is not None or limits.opening_rate is not None

    def admit(self, address: str | None, now: float) -> str | None:
        """Count a stream from `address` that was accepted at `now`, or say why not."""
        if self._count >= self._limits.connections:
            return "the server has as many connections as it takes (ServerLimits.connections)"
        why = self._add(address, now, is_opening=True)
        if why is None:
            self._count += 1
        return why

    def move(
        self, address: str | None, found: str | None, now: float, *, is_opening: bool = True
    ) -> str | None:
        """Count a stream that was admitted from `address` for `found` instead, or say why not.

        A proxy in front has named its client at `now`.  `is_opening`: this counts for the
        rate of openings.
        """
        if found == address:
            return None
        why = self._add(found, now, is_opening=is_opening)
        if why is None:
            self._remove(address)
        return why

    def release(self, address: str | None) -> None:
        """Count a stream that was admitted no longer."""
        self._count -= 1
        self._remove(address)

    def _add(self, address: str | None, now: float, *, is_opening: bool) -> str | None:
        if address is None:
            return None
        key = self._key(address)
        of_one = self._limits.connections_per_address
        if of_one is not None and self._by_address[key] >= of_one:
            return "too many connections from your address (ServerLimits.connections_per_address)"
        is_limited = is_opening and self._limits.opening_rate is not None
        if is_limited and not self._allow(key, now):
            return "too many connections a second from your address (ServerLimits.opening_rate)"
        self._by_address[key] += 1
        return None

    def _remove(self, address: str | None) -> None:
        if address is not None:
            key = self._key(address)
            self._by_address[key] -= 1
            if not self._by_address[key]:
                del self._by_address[key]

    def _key(self, address: str) -> str:
        return address_key(address, self._limits.ipv6_prefix)

    def _allow(self, key: str, now: float) -> bool:
        if len(self._rates) >= self._sweep_at:
            # A flood from many addresses must not become a leak; nor a sweep for each of them.
            self._rates = {one: rate for one, rate in self._rates.items() if not rate.is_idle(now)}
            self._sweep_at = max(_SWEEP, 2 * len(self._rates))
        rate = self._rates.get(key)
        if rate is None:
            rate = self._rates[key] = RateLimit(self._limits.opening_rate or 0)
        return rate.allow(now)


def address_key(address: str, ipv6_prefix: int) -> str:
    """Return what stands for all addresses that are counted as `address` is."""
    if ":" not in address:
        return address
    try:
        ip = IPv6Address(address)
    except AddressValueError:
        return address
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    # A link-local address is one of its link, which the zone names (RFC 4007 section 6).
    return f"{int(ip) >> (128 - ipv6_prefix):x}/{ipv6_prefix}%{ip.scope_id or ''}"
