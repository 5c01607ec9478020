"""`trio-wsendpoint doctor`: what a server supports, and if a connection fails, why.

It does what a page of that host would do: it sends that page's Origin.  A refused opening is
repeated with one thing changed, so that what is refused is known and not guessed.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Any

from trio_wsendpoint.cli.deep_probes import probe_idle, probe_load, probe_rules, probe_size
from trio_wsendpoint.cli.findings import SUBJECTS, Finding, Grade
from trio_wsendpoint.cli.opening import Plan
from trio_wsendpoint.cli.outcome import Outcome, Status
from trio_wsendpoint.cli.probes import (
    look_up,
    probe_close,
    probe_ping,
    probe_tcp,
    tell_error,
    tell_tls,
)
from trio_wsendpoint.cli.telling import milliseconds
from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.errors import HandshakeError
from trio_wsendpoint.handshake import WebSocketURL
from trio_wsendpoint.handshake.errors import BadUpgrade, HandshakeRefused
from trio_wsendpoint.options import Timeouts

__all__ = ["Doctor", "Examination", "page_origin"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """What to look at: the subjects in `only`, those that may harm a server only if `is_deep`.

    `idle`: seconds of silence; `most`: bytes of the largest message.  `is_direct`: the way leads
    to the URL's own host, so that its name and its addresses, those of `family`, are looked at.
    """

    only: Collection[str] = SUBJECTS
    is_deep: bool = False
    idle: float = 120.0
    most: int = 64 * 1024 * 1024
    is_direct: bool = True
    family: socket.AddressFamily = socket.AF_UNSPEC


class Doctor:
    """Examines one server; `tell` is called with each finding as it is made."""

    def __init__(
        self, plan: Plan, examination: Examination, tell: Callable[[Finding], object]
    ) -> None:
        self._plan = plan
        self._examination = examination
        self._tell = tell
        self._worst: Finding | None = None
        self._has_own_origin = plan.options.get("origin") is not None

    async def examine(self) -> Outcome:
        """Look at everything, from the name on, and stop where nothing more can be seen.

        Returns the status of the first failure.  Raises nothing of what the server does wrong.
        """
        timeouts = self._plan.options.get("timeouts", Timeouts())
        if self._examination.is_direct and not await self._reach(timeouts.open):
            return self._outcome()
        changes: dict[str, Any] = {}
        if not self._has_own_origin:
            changes["origin"] = page_origin(self._plan.parsed)
        try:
            # Who does not answer a ping or a Close is found out in a few seconds.
            limits = Timeouts(open=timeouts.open, ping=5.0, close=3.0)
            async with self._plan.open(timeouts=limits, heartbeat=None, **changes) as connection:
                self._tell_tls()
                self._tell_agreed(connection)
                if "ping" in self._examination.only:
                    self._note(await probe_ping(connection))
                if connection.is_open and "close" in self._examination.only:
                    self._note(await probe_close(connection))
        except (HandshakeRefused, BadUpgrade) as error:
            self._tell_tls()
            await self._find_out_why(error, changes)
        except Exception as error:  # noqa: BLE001 - TLS, the proxy, a bad answer: all in the table
            self._note(tell_error(error))
        else:
            await self._look_deeper(changes)
        return self._outcome()

    async def _reach(self, limit: float) -> bool:
        """Look at the name and the port; return whether there is one to go on with."""
        url = self._plan.parsed
        finding, addresses = await look_up(url.host, url.port, self._examination.family)
        self._note(finding)
        if addresses:
            self._note(await probe_tcp(addresses, url.port, limit))
        return self._worst is None

    def _tell_tls(self) -> None:
        facts = None if self._plan.context is None else self._plan.context.facts()
        if facts is not None:
            self._note(tell_tls(facts))

    def _tell_agreed(self, connection: Connection) -> None:
        timings = connection.timings
        told = "101" if timings is None else f"101 after {milliseconds(timings.answer)}"
        server = connection.response.headers.get("Server")
        self._note(Finding(Grade.OK, "opening", f"{told}, server {server}" if server else told))
        offered = self._plan.options.get("subprotocols", ())
        if connection.subprotocol is not None:
            text = f"{connection.subprotocol}, of {', '.join(offered)}"
            self._note(Finding(Grade.OK, "subprotocol", text))
        agreed = connection.response.headers.get("Sec-WebSocket-Extensions")
        self._note(Finding(Grade.OK, "compression", agreed or "none: every message goes as it is"))

    async def _find_out_why(self, error: HandshakeError, changes: dict[str, Any]) -> None:
        """Repeat a refused opening with one thing changed, and tell which one it was."""
        finding = tell_error(error)
        why, change = "", finding.change
        refused: list[str] = []
        for name, without, advice in self._without(changes):
            answer = await self._answer_to({**changes, **without})
            if answer == "101":
                why, change = f"without {name}: 101", advice
                break
            refused.append(f"without {name}: {answer}")
        why = why or "; ".join(refused)
        self._note(Finding(finding.grade, "opening", finding.text, why, change, finding.status))
        self._note(
            Finding(
                Grade.SKIP, "the rest", "ping, close, compression: they need an open connection"
            )
        )

    def _without(self, changes: dict[str, Any]) -> list[tuple[str, dict[str, Any], str]]:
        origin = changes.get("origin") or self._plan.options.get("origin")
        found: list[tuple[str, dict[str, Any], str]] = []
        if origin:
            advice = (
                f'let the server take this origin: origins=["{origin}"], or, if a proxy before it '
                "changes Host, let that pass it on: proxy_set_header Host $http_host in nginx"
            )
            found.append((f"the Origin {origin}", {"origin": None}, advice))
        subprotocols = self._plan.options.get("subprotocols", ())
        if subprotocols:
            nothing = {"subprotocols": (), "subprotocol_required": False}
            advice = "offer a subprotocol that the server has, or none"
            found.append((f"the subprotocol {', '.join(subprotocols)}", nothing, advice))
        if self._plan.options.get("deflate") is not None:
            advice = "--no-deflate: the server, or a proxy, does not take the offer of compression"
            found.append(("compression", {"deflate": None}, advice))
        return found

    async def _answer_to(self, changes: dict[str, Any]) -> str:
        """Return `101` if an opening succeeds, else its status or the kind of its error."""
        try:
            async with self._plan.open(**changes):
                return "101"
        except HandshakeRefused as error:
            return str(error.response.status)
        except Exception as error:  # noqa: BLE001 - one of several tries: what it was, is told
            return type(error).__name__

    async def _look_deeper(self, changes: dict[str, Any]) -> None:
        wanted = self._examination
        if not wanted.is_deep:
            text = "only with --deep: they take time, or may harm a server that is not careful"
            self._note(Finding(Grade.SKIP, "the rest", f"rules, idle, size, load: {text}"))
            return
        plan = Plan(
            url=self._plan.url,
            parsed=self._plan.parsed,
            context=self._plan.context,
            options={**self._plan.options, **changes},  # type: ignore[typeddict-item]
        )
        probes: dict[str, Callable[[], Awaitable[Finding]]] = {
            "idle": lambda: probe_idle(plan, wanted.idle),
            "size": lambda: probe_size(plan, wanted.most),
            "load": lambda: probe_load(plan),
            "rules": lambda: probe_rules(plan),
        }
        for subject, probe in probes.items():
            if subject not in wanted.only:
                continue
            try:
                self._note(await probe())
            except Exception as error:  # noqa: BLE001 - the server may have ended meanwhile
                found = tell_error(error)
                self._note(Finding(Grade.FAIL, subject, found.text, status=found.status))
                return

    def _note(self, finding: Finding) -> None:
        if finding.grade is Grade.FAIL:
            self._worst = self._worst or finding
        elif finding.grade is not Grade.SKIP and finding.subject not in self._examination.only:
            return
        self._tell(finding)

    def _outcome(self) -> Outcome:
        if self._worst is None:
            return Outcome(Status.DONE)
        return Outcome(self._worst.status)


def page_origin(url: WebSocketURL) -> str:
    """Return the Origin that a page of the URL's host sends."""
    return f"{'https' if url.secure else 'http'}://{url.host_header}"
