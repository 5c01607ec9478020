"""The set-ups: lines of a proxy's configuration, and the options of our server behind it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from trio_wsendpoint import Heartbeat

from .programs import Place, find_program
from .templates import NGINX_STREAM, apache, caddy, haproxy, nginx, nginx_stream, varnish

__all__ = ["PAGE", "SETUPS", "Setup"]

#: Stands in `origins` for the origin of the page, as its address bar shows it.
PAGE = "PAGE"

NGINX = """
    proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection "upgrade";
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
"""
HAPROXY = """mode http
option forwardfor
http-request set-header X-Forwarded-Proto http
"""
APACHE = """
    ProxyAddHeaders On
    RequestHeader set X-Forwarded-Proto expr=%{REQUEST_SCHEME}
"""

VARNISH = """
sub vcl_recv {
    if (req.http.Upgrade ~ "(?i)websocket") {
        return (pipe);
    }
}
sub vcl_pipe {
    if (req.http.Upgrade) {
        set bereq.http.Upgrade = req.http.Upgrade;
        set bereq.http.Connection = req.http.Connection;
    }
}
"""

FOR = ("X-Forwarded-For",)
FOR_PROTO = ("X-Forwarded-For", "X-Forwarded-Proto")
#: The columns whose trials open a WebSocket.
WEBSOCKETS = (
    "1 MiB and close",
    "Origin of a page",
    "client's address",
    "idle",
    "restart of the proxy",
)
HEADER = {"proxy_protocol": True}


@dataclass(frozen=True)
class Setup:
    """One row of the table.

    `name`: as the table has it.  `write`: writes the configuration, returns the command.
    `lines`: of the configuration.  `told`: what our server is told, as the table has it.
    `options`: the same, as keyword arguments.  `answers`: the cells that are not "ok".
    """

    name: str
    write: Callable[[Place, str], list[str]]
    lines: str
    told: str
    options: Mapping[str, object] = field(default_factory=dict)
    answers: Mapping[str, str] = field(default_factory=dict)

    @property
    def program(self) -> str:
        return {"apache": "apache2", "varnish": "varnishd"}.get(
            name := self.write.__name__.removesuffix("_stream"), name
        )

    @property
    def missing(self) -> str | None:
        """What this needs and does not find: a package of Debian; Linux, for its 127.x.y.z."""
        if sys.platform != "linux":
            return "Linux"
        if find_program(self.program) is None:
            return "varnish" if self.write is varnish else self.program
        if self.write is nginx_stream and not Path(NGINX_STREAM).exists():
            return "libnginx-mod-stream"
        return None


SETUPS = (
    Setup(
        "nginx with `$http_host`",
        nginx,
        NGINX
        + "proxy_set_header Host $http_host; proxy_set_header X-Forwarded-Proto $scheme;"
        + "proxy_read_timeout 75s;",
        '`forwarded=["X-Forwarded-For", "X-Forwarded-Proto"]`',
        {"forwarded": FOR_PROTO},
    ),
    Setup(
        "nginx with `$host` on another port",
        nginx,
        NGINX + "proxy_set_header Host $host;",
        "`origins=[page, None]`",
        {"origins": [PAGE, None]},
    ),
    Setup(
        "nginx with `$host`, and `X-Forwarded-Host $http_host`",
        nginx,
        NGINX + "proxy_set_header Host $host; proxy_set_header X-Forwarded-Host $http_host;",
        '`forwarded=["X-Forwarded-For", "X-Forwarded-Host"]`',
        {"forwarded": (*FOR, "X-Forwarded-Host")},
    ),
    Setup(
        "nginx without a Host line",
        nginx,
        NGINX,
        "`origins=[page, None]`",
        {"origins": [PAGE, None]},
    ),
    Setup(
        "nginx with `proxy_read_timeout 3s`",
        nginx,
        NGINX + "proxy_set_header Host $http_host; proxy_read_timeout 3s;",
        "`heartbeat=Heartbeat(interval=1)`",
        {"heartbeat": Heartbeat(interval=1)},
    ),
    Setup(
        "nginx without `proxy_http_version 1.1`",
        nginx,
        NGINX.replace("proxy_http_version 1.1;", "") + "proxy_set_header Host $http_host;",
        "nothing: add the line",
        answers=dict.fromkeys(WEBSOCKETS, "505: a WebSocket is opened in HTTP/1.1, not in 1.0"),
    ),
    Setup(
        "nginx `stream` with `proxy_protocol on`",
        nginx_stream,
        "proxy_protocol on;",
        "`proxy_protocol=True`",
        HEADER,
    ),
    Setup(
        "haproxy with `option httpchk`",
        haproxy,
        HAPROXY + "option httpchk\n check",
        '`forwarded=["X-Forwarded-For", "X-Forwarded-Proto"]`',
        {"forwarded": FOR_PROTO},
    ),
    Setup(
        "haproxy with `option httpchk GET /health`",
        haproxy,
        HAPROXY + "option httpchk GET /health\n check",
        '`forwarded=["X-Forwarded-For", "X-Forwarded-Proto"]`',
        {"forwarded": FOR_PROTO},
    ),
    Setup(
        "haproxy with `send-proxy`",
        haproxy,
        "mode tcp\n send-proxy check check-send-proxy",
        "`proxy_protocol=True`",
        HEADER,
    ),
    Setup(
        "haproxy with `send-proxy-v2`",
        haproxy,
        "mode tcp\n send-proxy-v2 check check-send-proxy",
        "`proxy_protocol=True`",
        HEADER,
    ),
    Setup(
        "Apache with `ProxyPreserveHost On`",
        apache,
        APACHE + "ProxyPreserveHost On\nProxyPass / http://BACKEND/ upgrade=websocket",
        '`forwarded=["X-Forwarded-For", "X-Forwarded-Proto"]`',
        {"forwarded": FOR_PROTO},
    ),
    Setup(
        "Apache with `ProxyPass ws://`",
        apache,
        "ProxyPass /health http://BACKEND/health\nProxyPass / ws://BACKEND/",
        "`origins=[page, None]`",
        {"origins": [PAGE, None]},
    ),
    Setup(
        "Caddy with `reverse_proxy`",
        caddy,
        "",
        '`forwarded=["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"]`',
        {"forwarded": (*FOR_PROTO, "X-Forwarded-Host")},
    ),
    Setup(
        "Varnish with `return (pipe)`",
        varnish,
        VARNISH,
        "nothing more",
    ),
)
