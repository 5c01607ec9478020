"""The names of hosts as DNS takes them: IDNA 2008 with the mapping of UTS 46, as in Trio.

`ascii_host` returns a name for the wire, or raises `ValueError`, nothing else.  Only names that
our own caller wrote come here: a peer sends names in ASCII.
"""

from __future__ import annotations

from string import ascii_letters, digits

import idna

from trio_wsendpoint.handshake.quoting import quoted

__all__ = ["ascii_authority", "ascii_host"]

# What a resolver takes; `_` is in use, whatever RFC 952 says.
_NAME = frozenset(ascii_letters + digits + "-._")
# RFC 1035 section 2.3.4, and a dot at the end.
_MAX_NAME = 254


def ascii_host(name: str) -> str:
    """Return the name of a host in ASCII, in lower case: `xn--...` for each other label.

    Browsers and Trio map names alike, so that all of them connect to the same host.  The older
    IDNA 2003 of Python's own codec does not: it takes `straße.de` for `strasse.de`.
    """
    if not name:
        raise ValueError("there is no host")
    if len(name) > _MAX_NAME:
        # Before it is encoded, which is not linear.
        raise ValueError(f"the host {quoted(name)} has an empty or overlong part")
    ascii_name = name
    if not name.isascii():
        try:
            ascii_name = idna.encode(name, uts46=True).decode("ascii")
        except UnicodeError as error:
            why = quoted(str(error))[1:-1]
            raise ValueError(f"the host {quoted(name)} is not a domain name: {why}") from None
    if not _NAME.issuperset(ascii_name):
        raise ValueError(f"the host {quoted(name)} is not a domain name")
    # Checked here because `getaddrinfo` has only UnicodeError to say so.
    labels = ascii_name.removesuffix(".").split(".")
    if len(ascii_name) > _MAX_NAME or not all(0 < len(label) < 64 for label in labels):
        raise ValueError(f"the host {quoted(name)} has an empty or overlong part")
    return ascii_name.lower()


def ascii_authority(text: str) -> str:
    """Return `host` or `host:port` with the name of the host in ASCII; raises `ValueError`."""
    name, colon, port = text.partition(":")
    return ascii_host(name) + colon + port
