"""A dashboard: 50 updates a second to all who watch, and to a slow one the newest alone.

Run it:   python examples/dashboard.py [port]     (8765 unless given; 0 for a free one)
Watch it: open the page that it names, in as many windows as you like.  A window that stalls shows
what is new as soon as it goes on, rather than what it missed.
"""

import json
import math
import sys
from itertools import count

import trio

from trio_wsendpoint import Connection, HttpRequest, Response, serve_endpoint
from trio_wsendpoint.hub import History, Hub, Latest, open_hub

GAUGES = ("cpu", "memory", "disk", "network", "queue")
#: Updates in a second.
RATE = 50

PAGE = """<!DOCTYPE html>
<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Dashboard</title>
<style>
  :root { color-scheme: light dark }
  body { font: 20px monospace; margin: 1em } meter { width: min(20em, 60vw) }
</style>
<div id="gauges">connecting</div>
<script>
const gauges = {}, place = document.getElementById("gauges");
function connect() {
  const socket = new WebSocket(location.href.replace(/^http/, "ws"));
  socket.onmessage = ({data}) => {
    const {gauge, value} = JSON.parse(data);
    if (!gauges[gauge]) {
      if (!Object.keys(gauges).length) place.textContent = "";
      const row = place.appendChild(document.createElement("p"));
      gauges[gauge] = row.appendChild(document.createElement("meter"));
      row.append(" " + gauge);
    }
    gauges[gauge].value = value;
  };
  socket.onclose = () => setTimeout(connect, 1000 + 4000 * Math.random());
}
connect();
</script>
"""


async def measure(hub: Hub) -> None:
    """Publish a value of one gauge after the other, as the hub's task for the whole run."""
    begin = trio.current_time()
    for number in count():
        gauge = GAUGES[number % len(GAUGES)]
        value = round(0.5 + 0.5 * math.sin(number / 40 + len(gauge)), 3)
        update = {"gauge": gauge, "value": value, "time": round(trio.current_time(), 3)}
        # The key says of what it is the newest value: of each gauge one waits for a slow client.
        await hub.publish("gauges", json.dumps(update), key=gauge)
        await trio.sleep_until(begin + (number + 1) / RATE)


class Dashboard:
    """What the server is given: `watch` for WebSockets, `page` for all else."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def watch(self, connection: Connection) -> None:
        """Be the handler of one client: first a value of each gauge, then what is new."""
        await self._hub.serve(connection, "gauges", policy=Latest(), last=len(GAUGES))

    async def page(self, request: HttpRequest) -> Response:
        """Answer any plain request with the page."""
        return Response(200, [("Content-Type", "text/html")], body=PAGE.encode())


async def main(port: int) -> None:
    async with (
        open_hub(history=History(entries=len(GAUGES))) as hub,
        trio.open_nursery() as nursery,
    ):
        dashboard = Dashboard(hub)
        nursery.start_soon(measure, hub)
        async with serve_endpoint(dashboard.watch, port, http_handler=dashboard.page) as server:
            print(
                "listening on", *[url.replace("ws", "http", 1) for url in server.urls], flush=True
            )
            await trio.sleep_forever()


if __name__ == "__main__":
    try:
        trio.run(main, int(sys.argv[1]) if sys.argv[1:] else 8765)
    except* KeyboardInterrupt:
        pass
