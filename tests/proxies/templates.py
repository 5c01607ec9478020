"""The configurations of the proxies: what docs/proxies.md shows, around it what a test needs."""

from __future__ import annotations

from .programs import Place

__all__ = [
    "NGINX_STREAM",
    "apache",
    "caddy",
    "haproxy",
    "nginx",
    "nginx_site",
    "nginx_stream",
    "varnish",
]

#: nginx's module for TCP, a package of its own in Debian: libnginx-mod-stream.
NGINX_STREAM = "/usr/lib/nginx/modules/ngx_stream_module.so"
APACHE_MODULES = "/usr/lib/apache2/modules"


def nginx(place: Place, lines: str) -> list[str]:
    """Write a `location` with these lines; return the command."""
    passed = f"proxy_pass http://127.0.0.1:{place.backend};"
    return nginx_site(place, f"location / {{ {passed}\n {lines} }}")


def nginx_site(place: Place, lines: str) -> list[str]:
    """Write a `server` with these lines; return the command."""
    temporary = "\n".join(
        f"  {kind}_temp_path {place.folder}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return _nginx(
        place,
        f"""
http {{
  access_log off;
{temporary}
  server {{
    listen {place.authority};
    {lines}
  }}
}}
""",
    )


def nginx_stream(place: Place, lines: str) -> list[str]:
    """Hand TCP on, with these lines; return the command."""
    return _nginx(
        place,
        f"""
load_module {NGINX_STREAM};
stream {{
  server {{
    listen {place.authority};
    proxy_pass 127.0.0.1:{place.backend};
    {lines}
  }}
}}
""",
    )


def _nginx(place: Place, text: str) -> list[str]:
    path = place.folder / "nginx.conf"
    start = f"daemon off;\nmaster_process off;\npid {place.folder}/pid;\n"
    path.write_text(start + "error_log stderr warn;\n" + text + "events {}\n")
    return ["nginx", "-p", str(place.folder), "-e", "stderr", "-c", str(path)]


def haproxy(place: Place, lines: str) -> list[str]:
    """Write a `listen` section with these lines, of which the last follows the server's address.

    Its health check comes ten times a second, and one answer decides.
    """
    *section, server = [line.strip() for line in lines.splitlines()]
    between = "\n    ".join(section)
    path = place.folder / "haproxy.cfg"
    path.write_text(
        f"""
global
    stats socket {place.folder}/stats level admin
listen web
    timeout connect 5s
    timeout client 75s
    timeout server 75s
    timeout tunnel 1h
    bind {place.authority}
    {between}
    server one 127.0.0.1:{place.backend} {server} inter 100ms fall 1 rise 1
"""
    )
    return ["haproxy", "-db", "-f", str(path)]


def apache(place: Place, lines: str) -> list[str]:
    """Write a server with these lines; return the command."""
    modules = "\n".join(
        f"LoadModule {name}_module {APACHE_MODULES}/mod_{name}.so"
        for name in ("mpm_event", "authz_core", "headers", "proxy", "proxy_http", "proxy_wstunnel")
    )
    path = place.folder / "apache.conf"
    path.write_text(
        f"""
ServerRoot {place.folder}
ServerName localhost
DefaultRuntimeDir {place.folder}
PidFile {place.folder}/pid
ErrorLog /dev/stderr
Listen {place.authority}
StartServers 1
{modules}
User www-data
Group www-data
{lines.replace("BACKEND", f"127.0.0.1:{place.backend}")}
"""
    )
    return ["apache2", "-D", "FOREGROUND", "-f", str(path)]


def caddy(place: Place, lines: str) -> list[str]:
    """Write a site with these lines behind `reverse_proxy`; return the command."""
    path = place.folder / "Caddyfile"
    path.write_text(
        f"""
{{
    admin off
    auto_https off
}}
http://{place.authority} {{
    bind {place.address}
    reverse_proxy 127.0.0.1:{place.backend} {lines}
}}
"""
    )
    return ["caddy", "run", "--adapter", "caddyfile", "--config", str(path)]


def varnish(place: Place, lines: str) -> list[str]:
    """Write a VCL with these lines; return the command."""
    path = place.folder / "site.vcl"
    path.write_text(
        f"""
vcl 4.1;
backend default {{ .host = "127.0.0.1"; .port = "{place.backend}"; }}
{lines}
"""
    )
    command = ["varnishd", "-F", "-j", "none", "-a", place.authority, "-f", str(path)]
    return [*command, "-n", str(place.folder / "varnish"), "-s", "malloc,16m"]
