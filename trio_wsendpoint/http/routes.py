"""Finds the handler of a request by its path: exact segments, and `{name}` for any one.

Matching is pure: it returns the handler and what the path says, or the answer in their place.
What is richer than this is an ASGI application's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from trio_wsendpoint.handshake.abnf import is_token
from trio_wsendpoint.handshake.http import Request, Response
from trio_wsendpoint.handshake.quoting import quoted
from trio_wsendpoint.handshake.refusal import upgrade_required
from trio_wsendpoint.http.paths import raw_path, segments_of

__all__ = ["Match", "Routes"]

#: What handles a WebSocket, and what handles a plain request.
W = TypeVar("W")
H = TypeVar("H")
_T = TypeVar("_T")

_DOTS = frozenset({"", ".", ".."})


@dataclass(frozen=True, slots=True)
class Match(Generic[_T]):
    """A handler, the route that led to it as it was given, and the parameters by their names."""

    handler: _T
    route: str
    parameters: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Segment:
    text: str
    is_parameter: bool


class _Route(Generic[W, H]):
    """One path and its handlers; of its segments, each is a text or the name of a parameter."""

    __slots__ = ("_segments", "methods", "path", "websocket")

    def __init__(self, path: str, segments: Sequence[_Segment]) -> None:
        self.path = path
        self.websocket: W | None = None
        self.methods: dict[str, H] = {}
        self._segments = segments

    def set_websocket(self, handler: W) -> None:
        if self.websocket is not None:
            raise ValueError(f"{quoted(self.path)} has a WebSocket handler already")
        self.websocket = handler

    def set_method(self, method: str, handler: H) -> None:
        if method in self.methods:
            raise ValueError(f"{quoted(self.path)} has a handler of {method} already")
        self.methods[method] = handler

    def parameters_of(self, segments: Sequence[str]) -> dict[str, str] | None:
        """Return what the path says if this route is its own, else None."""
        found: dict[str, str] = {}
        for ours, segment in zip(self._segments, segments, strict=True):
            if ours.is_parameter:
                if segment in _DOTS:
                    return None
                found[ours.text] = segment
            elif ours.text != segment:
                return None
        return found

    @property
    def shape(self) -> list[tuple[bool, str]]:
        """What decides which paths fit, in an order that puts exact segments first."""
        return [
            (ours.is_parameter, "" if ours.is_parameter else ours.text) for ours in self._segments
        ]

    @property
    def allowed(self) -> set[str]:
        """The methods of an Allow header."""
        methods = set(self.methods)
        if self.websocket is not None:
            methods.add("GET")
        if "GET" in self.methods:
            methods.add("HEAD")
        return methods


class Routes(Generic[W, H]):
    """Paths and their handlers.

    A path begins with `/`; a segment in braces, `/rooms/{room}`, stands for any one segment that
    is not empty, `.` or `..`; its name is a Python identifier.  Paths are text, not
    percent-encoded, and are compared with the decoded segments of a request, with regard to case
    and to a slash at the end.  Where two paths fit, an exact segment goes before a parameter, from
    left to right, whatever the order in which they were added; that route alone answers.
    """

    def __init__(self) -> None:
        self._by_size: dict[int, list[_Route[W, H]]] = {}

    def add_websocket(self, path: str, handler: W) -> None:
        """Give the WebSockets at `path` to `handler`.

        Raises `ValueError` for a malformed path, and for one that has a WebSocket handler.
        """
        self._route(path).set_websocket(handler)

    def add_http(self, path: str, handler: H, methods: Iterable[str] = ("GET",)) -> None:
        """Give the plain requests at `path` with one of `methods` to `handler`.

        The handler of GET gets HEAD too, unless HEAD has its own.  Raises `ValueError` for a
        malformed path or method, and for a method that has a handler.
        """
        if isinstance(methods, str):
            raise TypeError(f"methods come as a list of names, not as {methods!r}")
        names = list(methods)
        for method in names:
            if not is_token(method) or method in {"CONNECT", "TRACE"}:
                raise ValueError(f"{quoted(method)} is no method that can be served")
        route = self._route(path)
        for method in names:
            route.set_method(method, handler)

    def match_websocket(self, request: Request) -> Match[W] | Response:
        """Return the handler of an opening, or the refusal.

        404 without a WebSocket at the path, 400 for a path that is malformed or no UTF-8.
        """
        found = self._find(request)
        if isinstance(found, Response):
            return found
        route, parameters = found
        if route.websocket is None:
            return Response(404, body="there is no WebSocket here\n")
        return Match(route.websocket, route.path, parameters)

    def match_http(self, request: Request) -> Match[H] | Response:
        """Return the handler of a plain request, or the answer.

        404 without a route; 426 for GET and HEAD where there is a WebSocket alone; 405 with Allow
        for a method that the route has not; 400 for a path that is malformed or no UTF-8; 204 to
        `OPTIONS *`, with the methods of all routes.
        """
        if request.target == "*":
            return Response(204, {"Allow": self._allowed_anywhere()})
        found = self._find(request)
        if isinstance(found, Response):
            return found
        route, parameters = found
        method = request.method
        if method == "HEAD" and "HEAD" not in route.methods:
            method = "GET"
        if method in route.methods:
            return Match(route.methods[method], route.path, parameters)
        if method == "GET" and not route.methods:
            return upgrade_required("this is a WebSocket endpoint").response
        text = f"{quoted(request.method)} is not served here\n"
        return Response(405, {"Allow": ", ".join(sorted(route.allowed))}, text)

    def _find(self, request: Request) -> tuple[_Route[W, H], dict[str, str]] | Response:
        try:
            segments = segments_of(raw_path(request.target))
        except ValueError as error:
            return Response(400, body=f"bad request: {error}\n")
        for route in self._by_size.get(len(segments), ()):
            parameters = route.parameters_of(segments)
            if parameters is not None:
                return route, parameters
        return Response(404, body="not found\n")

    def _route(self, path: str) -> _Route[W, H]:
        """Return the route of `path`, a new one if it has none."""
        segments = _parse(path)
        new = _Route[W, H](path, segments)
        routes = self._by_size.setdefault(len(segments), [])
        for route in routes:
            if route.path == path:
                return route
            if route.shape == new.shape:
                raise ValueError(f"{quoted(path)} and {quoted(route.path)} fit the same paths")
        routes.append(new)
        routes.sort(key=lambda route: route.shape)
        return new

    def _allowed_anywhere(self) -> str:
        routes = [route for routes in self._by_size.values() for route in routes]
        return ", ".join(sorted({"OPTIONS"}.union(*(route.allowed for route in routes))))


def _parse(path: str) -> list[_Segment]:
    """Return the segments of a route's path; raises `ValueError`."""
    if not path.startswith("/"):
        raise ValueError(f"{quoted(path)} does not begin with '/'")
    segments: list[_Segment] = []
    for segment in path[1:].split("/"):
        name = segment[1:-1]
        if segment[:1] == "{" and segment[-1:] == "}" and name.isidentifier():
            if _Segment(name, is_parameter=True) in segments:
                raise ValueError(f"{quoted(path)} has the parameter {quoted(name)} twice")
            segments.append(_Segment(name, is_parameter=True))
        elif "{" in segment or "}" in segment:
            raise ValueError(f"{quoted(path)}: {quoted(segment)} is no '{{name}}'")
        else:
            segments.append(_Segment(segment, is_parameter=False))
    return segments
