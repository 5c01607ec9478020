"""What the pages show of nginx, haproxy, Apache, Caddy and Varnish runs as it stands there.

Each block is taken from its page. Only what belongs to a machine is replaced: the ports, the name
of the site, the file of its certificate.
"""

from __future__ import annotations

import os
import re
import ssl

import pytest
import trio
import trustme

from trio_wsendpoint import HandshakeRefused, connect_endpoint

from . import templates
from .programs import PATIENCE, Place
from .setups import Setup
from .table import FILE
from .world import CLIENT, World, open_world

pytestmark = pytest.mark.component

DOCS = FILE.parent
#: What the pages say that our server listens on.
BACKEND = "127.0.0.1:8765"
AUTHORITY = trustme.CA()


def replaced(text: str, old: str, new: str) -> str:
    """Replace what must be there."""
    assert old in text, old
    return text.replace(old, new)


def for_backend(place: Place, text: str) -> str:
    return replaced(text, BACKEND, f"127.0.0.1:{place.backend}")


def nginx(place: Place, text: str) -> list[str]:
    """Put `http { server { ... } }` around the block, as the page says."""
    return templates.nginx_site(place, for_backend(place, text))


def haproxy(place: Place, text: str) -> list[str]:
    """Use the block as the whole file, with a certificate for the test's address."""
    certificate = place.folder / "site.pem"
    AUTHORITY.issue_cert(place.address).private_key_and_cert_chain_pem.write_to_path(certificate)
    text = replaced(for_backend(place, text), "bind :443", f"bind {place.authority}")
    path = place.folder / "haproxy.cfg"
    path.write_text(replaced(text, "/etc/haproxy/site.pem", str(certificate)))
    return ["haproxy", "-db", "-f", str(path)]


def apache(place: Place, text: str) -> list[str]:
    """Put the block into a server."""
    return templates.apache(place, for_backend(place, text))


def caddy(place: Place, text: str) -> list[str]:
    """Use the block as the whole file, for a site without TLS."""
    path = place.folder / "Caddyfile"
    site = replaced(for_backend(place, text), "example.com", f"http://{place.authority}")
    path.write_text(f"{{\n\tadmin off\n}}\n{site}")
    return ["caddy", "run", "--adapter", "caddyfile", "--config", str(path)]


def varnish(place: Place, text: str) -> list[str]:
    """Put the block behind the lines that name our server."""
    return templates.varnish(place, text)


def block_of(page: str, heading: str) -> tuple[str, tuple[str, ...]]:
    """Return the first block of a section, and what the section names as `forwarded=`."""
    text = f"\n{(DOCS / page).read_text()}"
    section = text.partition(f"\n{heading}\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    shown = [block for language, block in blocks if language in {"", "nginx"}]
    named = re.search(r"`forwarded=\[(.*?)\]`", section, re.DOTALL)
    told = re.findall(r'"([\w-]+)"', named[1]) if named else ["X-Forwarded-For"]
    return shown[0], tuple(told)


def need(setup: Setup) -> None:
    """Skip where the proxy is missing; in CI that is a failure."""
    if setup.missing is not None and os.environ.get("CI") == "true":
        pytest.fail(f"{setup.missing} is missing: .ci/run installs it")
    if setup.missing is not None:
        pytest.skip(f"{setup.missing} is missing")


async def talk(world: World, scheme: str, origin: str) -> str:
    """Connect as a page of `origin` does, through the proxy; return the address that is seen."""
    context = ssl.create_default_context() if scheme == "wss" else None
    if context is not None:
        AUTHORITY.configure_trust(context)
    async with connect_endpoint(
        f"{scheme}://{world.place.authority}/",
        stream=await world.open_stream(),
        ssl_context=context,
        origin=origin,
    ) as connection:
        await connection.send("hello")
        assert await connection.receive() == "hello"
        await connection.send("who")
        return await connection.receive_text()


@pytest.mark.parametrize(
    ("page", "heading", "write", "scheme", "seen"),
    [
        # The tutorial does not yet ask who its clients are: they all come from the proxy.
        ("tutorial-12-deploying.md", "# 12. Out into the world", nginx, "ws", "127.0.0.1"),
        ("proxies.md", "## nginx", nginx, "ws", CLIENT),
        ("proxies.md", "## haproxy", haproxy, "wss", CLIENT),
        ("proxies.md", "## Apache", apache, "ws", CLIENT),
        ("proxies.md", "## Caddy", caddy, "ws", CLIENT),
        ("proxies.md", "## Varnish", varnish, "ws", CLIENT),
    ],
)
async def test_what_a_page_shows_runs_as_it_stands(page, heading, write, scheme, seen, tmp_path):
    text, told = block_of(page, heading)
    setup = Setup(heading, write, text, "", {"forwarded": told})
    need(setup)
    async with open_world(setup, tmp_path) as world, world.proxy():
        with trio.fail_after(PATIENCE):
            site = f"{scheme.replace('ws', 'http')}://{world.place.authority}"
            assert await talk(world, scheme, site) == seen
            with pytest.raises(HandshakeRefused, match="403"):
                await talk(world, scheme, "https://evil.example")
    said = tmp_path.joinpath("output").read_text().lower()
    assert re.search(r"\[warn(ing)?\b", said) is None, said
