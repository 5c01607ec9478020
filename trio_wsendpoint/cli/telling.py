"""Puts into words what happened: the opening and its times, a refusal, frames, round trips."""

from __future__ import annotations

from dataclasses import replace

from trio_wsendpoint.cli.escaping import escaped, shortened
from trio_wsendpoint.cli.output import Output
from trio_wsendpoint.cli.tls import WatchedContext
from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.connection.instruments import Instrument
from trio_wsendpoint.connection.timings import Timings
from trio_wsendpoint.handshake import Headers, Response, WebSocketURL
from trio_wsendpoint.handshake.secrecy import hide_in_value
from trio_wsendpoint.protocol.frames import CloseFrame, Frame

__all__ = [
    "Watcher",
    "header_lines",
    "milliseconds",
    "tell_opening",
    "tell_refusal",
    "times_line",
]

#: Characters of a refusal's body, and lines of it, that are shown.
BODY_SHOWN = 2000
BODY_LINES = 20


def milliseconds(seconds: float) -> str:
    """Return seconds as `11 ms`, below 10 ms as `1.2 ms`."""
    value = seconds * 1000
    return f"{value:.1f} ms" if value < 9.95 else f"{value:,.0f} ms"


def times_line(timings: Timings, tls: str | None) -> str:
    """Return the steps of an opening with their times; `tls`: facts that stand beside its time."""
    steps = [
        ("DNS", timings.dns, None),
        ("TCP", timings.tcp, None),
        ("proxy", timings.proxy, None),
        ("TLS", timings.tls, tls),
    ]
    parts = [
        f"{name} {milliseconds(seconds)}" + (f" ({beside})" if beside else "")
        for name, seconds, beside in steps
        if seconds is not None
    ]
    parts.append(f"101 after {milliseconds(timings.answer)}; {milliseconds(timings.total)} in all")
    return "   ".join(parts)


def peer_text(connection: Connection) -> str:
    """Return the address of the peer."""
    return repr(replace(connection.peer, tls=None))


def tell_opening(
    output: Output, connection: Connection, url: WebSocketURL, context: WatchedContext | None
) -> None:
    """Tell where a connection leads, how long its opening took, and what was agreed."""
    tls = None if context is None else context.facts()
    timings = connection.timings
    if timings is not None:
        line = times_line(timings, None if tls is None else escaped(str(tls)))
        output.note(f"{escaped(url.host)} is {peer_text(connection)}   {line}")
    server = connection.response.headers.get("Server")
    compression = "off" if connection.endpoint.extension is None else "on"
    parts = [
        f"subprotocol {escaped(connection.subprotocol)}" if connection.subprotocol else "",
        f"compression {compression}",
        f"server {escaped(server)}" if server else "",
    ]
    output.note(", ".join(part for part in parts if part))
    if output.form.is_verbose:
        for sign, headers in (
            (">", connection.request.headers),
            ("<", connection.response.headers),
        ):
            for line in header_lines(headers):
                output.note(f"{sign} {line}")
    output.event(
        "open",
        url_host=url.host,
        peer=peer_text(connection),
        subprotocol=connection.subprotocol,
        compression=compression,
        times=None if timings is None else _times(timings),
    )


def _times(timings: Timings) -> dict[str, float]:
    found = {
        name: getattr(timings, name) for name in ("dns", "tcp", "proxy", "tls", "answer", "total")
    }
    return {name: round(value, 6) for name, value in found.items() if value is not None}


def header_lines(headers: Headers) -> list[str]:
    """Return a line for each header, escaped, without the values that are credentials."""
    return [
        f"{escaped(name)}: {escaped(hide_in_value(name, value))}" for name, value in headers.items()
    ]


def tell_refusal(output: Output, response: Response) -> None:
    """Tell status, headers and the beginning of the body of an answer that is not 101."""
    output.note(f"{response.status} {response.reason_phrase}")
    for line in header_lines(response.headers):
        output.note(line)
    text = response.body.decode("utf-8", errors="backslashreplace")
    lines = text[:BODY_SHOWN].splitlines()
    if lines:
        output.note("")
    for line in lines[:BODY_LINES]:
        output.note(escaped(line))
    if len(lines) > BODY_LINES or len(text) > BODY_SHOWN:
        output.note(f"... ({len(response.body):,} B of body in all)")
    output.event(
        "refused",
        status=response.status,
        headers=[[name, hide_in_value(name, value)] for name, value in response.headers.items()],
        body=text,
    )


class Watcher(Instrument):
    """Tells of frames as they pass, if asked for, and of round trips."""

    def __init__(self, output: Output, *, frames: bool) -> None:
        self._output = output
        self._frames = frames

    def frame_sent(self, connection: Connection, frame: Frame, size: int) -> None:
        """Tell of a frame that leaves."""
        self._tell("> ", "sent", frame, size)

    def frame_received(self, connection: Connection, frame: Frame, size: int) -> None:
        """Tell of a frame that has come."""
        self._tell("< ", "received", frame, size)

    def round_trip(self, connection: Connection, seconds: float) -> None:
        """Tell how long a pong took."""
        if self._output.form.is_verbose or self._frames:
            self._output.note(f"pong after {milliseconds(seconds)}")
        self._output.event("pong", seconds=round(seconds, 6))

    def _tell(self, sign: str, direction: str, frame: Frame, size: int) -> None:
        if not self._frames:
            return
        facts = [f"{frame.type:<12}", f"{size:,} B"]
        if not frame.fin:
            facts.append("more follows")
        if frame.rsv:
            facts.append(f"rsv {frame.rsv:03b}")
        if isinstance(frame, CloseFrame):
            facts.append(escaped(str(frame)))
        elif frame.is_control and frame.payload:
            facts.append(shortened(frame.payload.decode("latin-1"), 40))
        self._output.note(sign + "  ".join(facts))
        self._output.event(
            "frame", direction=direction, type=frame.type, fin=frame.fin, rsv=frame.rsv, size=size
        )
