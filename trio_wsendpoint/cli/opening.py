"""Turns the options of the command into the arguments of `connect_endpoint`.

`Target` is what the user wrote, `Plan` what comes of it; making one raises `UsageFault` before
anything is connected.
"""

from __future__ import annotations

import math
import socket
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import cast

from trio_wsendpoint.cli.family import over_family
from trio_wsendpoint.cli.outcome import UsageFault
from trio_wsendpoint.cli.secrets import basic, bearer, parse_header
from trio_wsendpoint.cli.tls import WatchedContext, make_context
from trio_wsendpoint.client.connecting import connect_endpoint
from trio_wsendpoint.client.reconnect_settings import ConnectHook, RetryHook
from trio_wsendpoint.client.reconnecting import reconnecting_endpoint
from trio_wsendpoint.client.reconnecting_connection import ReconnectingConnection
from trio_wsendpoint.client.settings import ConnectOptions
from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.connection.instruments import Instrument
from trio_wsendpoint.extensions import Deflate
from trio_wsendpoint.handshake import WebSocketURL
from trio_wsendpoint.options import Heartbeat, Limits, Timeouts

__all__ = ["FAMILIES", "Plan", "Target", "whole_url"]

#: What `-4` and `-6` stand for.
FAMILIES = {"4": socket.AF_INET, "6": socket.AF_INET6}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where to connect, and how, as the options of the command say it."""

    url: str
    headers: tuple[str, ...] = ()
    bearer: str | None = None
    user: str | None = None
    subprotocols: tuple[str, ...] = ()
    origin: str | None = None
    proxy: str | None = None
    cert: str | None = None
    key: str | None = None
    cacert: str | None = None
    servername: str | None = None
    insecure: bool = False
    family: str | None = None
    resolve: str | None = None
    unix: str | None = None
    redirects: bool = False
    timeout: float = 10.0
    heartbeat: float = 15.0
    max_size: int | None = None
    deflate: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How to open a connection: `url`, `context` (None for `ws://`) and `options`."""

    url: str
    parsed: WebSocketURL
    context: WatchedContext | None
    options: ConnectOptions

    @classmethod
    def of(cls, target: Target) -> Plan:
        """Return the plan for `target`; raises `UsageFault` and `InvalidURL`."""
        url = whole_url(target.url)
        parsed = WebSocketURL.parse(url)
        options = _options(target)
        if target.servername is not None:
            url = _rename(parsed, target.servername, options)
        _choose_way(target, parsed, options)
        context = None
        if parsed.secure:
            context = make_context(
                cert=target.cert,
                key=target.key,
                cacert=target.cacert,
                insecure=target.insecure,
            )
        elif target.cert or target.cacert or target.servername or target.insecure:
            raise UsageFault("--cert, --cacert, --servername and --insecure are for wss:// URLs")
        plan = cls(url=url, parsed=parsed, context=context, options=options)
        plan.open()  # which checks every option
        return plan

    def open(
        self, *instruments: Instrument, **changes: object
    ) -> AbstractAsyncContextManager[Connection]:
        """Return a connection to enter; `changes` take the place of options.

        Raises `UsageFault` for options that exclude each other.
        """
        options = cast("ConnectOptions", {**self.options, **changes, "instruments": instruments})
        try:
            return connect_endpoint(self.url, ssl_context=self.context, **options)
        except (ValueError, TypeError, ModuleNotFoundError) as error:
            raise UsageFault(str(error)) from error

    def stay_connected(
        self, *instruments: Instrument, on_connect: ConnectHook, on_retry: RetryHook
    ) -> AbstractAsyncContextManager[ReconnectingConnection]:
        """Return a channel to enter, which outlives its connections."""
        options = cast("ConnectOptions", {**self.options, "instruments": instruments})
        return reconnecting_endpoint(
            self.url,
            ssl_context=self.context,
            on_connect=on_connect,
            on_retry=on_retry,
            **options,
        )


def whole_url(text: str) -> str:
    """Return the URL that `text` stands for: `:8000/x` is `ws://localhost:8000/x`."""
    return f"ws://localhost{text}" if text.startswith(":") else text


def _options(target: Target) -> ConnectOptions:
    headers = [parse_header(text) for text in target.headers]
    if target.bearer is not None:
        headers.append(bearer(target.bearer))
    if target.user is not None:
        headers.append(basic(target.user))
    hosts = [value for name, value in headers if name.lower() == "host"]
    options: ConnectOptions = {
        "headers": [pair for pair in headers if pair[0].lower() != "host"],
        "host_header": hosts[-1] if hosts else None,
        "subprotocols": target.subprotocols,
        # A server that ignores the offer is found out at once.
        "subprotocol_required": bool(target.subprotocols),
        "origin": target.origin,
        "deflate": Deflate() if target.deflate else None,
        "redirects": 5 if target.redirects else 0,
        "proxy": None if target.proxy == "none" else target.proxy or True,
    }
    try:
        if target.max_size is not None:
            options["limits"] = Limits(message_size=target.max_size)
        options["timeouts"] = Timeouts(open=target.timeout)
        off = math.isinf(target.heartbeat)
        options["heartbeat"] = None if off else Heartbeat(interval=target.heartbeat)
    except ValueError as error:
        raise UsageFault(str(error)) from None
    return options


def _rename(parsed: WebSocketURL, name: str, options: ConnectOptions) -> str:
    """Return the URL whose host is the name to expect, and connect to where it was."""
    options["host_header"] = options.get("host_header") or parsed.host_header
    options["address"] = _tcp(parsed.host, parsed.port)
    options["proxy"] = None
    if parsed.authorization is not None:
        options["headers"] = [
            *_pairs(options),
            ("Authorization", parsed.authorization),
        ]
    return f"wss://{name}:{parsed.port}{parsed.target}"


def _pairs(options: ConnectOptions) -> list[tuple[str, str]]:
    found = options.get("headers", ())
    return [(name, value) for name, value in found] if isinstance(found, list) else []


def _choose_way(target: Target, parsed: WebSocketURL, options: ConnectOptions) -> None:
    if target.unix is not None and target.resolve is not None:
        raise UsageFault("--unix and --resolve both say where to connect: leave one out")
    if target.unix is None and target.resolve is None:
        if target.family is not None:
            if target.servername is not None:
                raise UsageFault("-4 and -6 do not go with --servername: use --resolve")
            options["open_stream"] = over_family(FAMILIES[target.family])
        return
    if target.family is not None:
        raise UsageFault("-4 and -6 go with neither --unix nor --resolve")
    if target.proxy not in {None, "none"}:
        raise UsageFault("--proxy goes with neither --unix nor --resolve")
    options["proxy"] = None
    if target.unix is not None:
        options["address"] = f"unix:{target.unix}"
    elif target.resolve is not None:
        options["address"] = _resolved(target.resolve, parsed)


def _resolved(text: str, parsed: WebSocketURL) -> str:
    host, _, rest = text.partition(":")
    port, _, address = rest.partition(":")
    if not host or not port.isdecimal() or not address:
        raise UsageFault("--resolve: expected HOST:PORT:ADDRESS")
    if (host.lower(), int(port)) != (parsed.host, parsed.port):
        raise UsageFault(f"--resolve is for {host}:{port}, the URL for {parsed.host}:{parsed.port}")
    return _tcp(address.strip("[]"), parsed.port)


def _tcp(host: str, port: int) -> str:
    return f"tcp:[{host}]:{port}" if ":" in host else f"tcp:{host}:{port}"
