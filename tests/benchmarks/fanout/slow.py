"""How long the others wait while some subscribers take nothing."""

from __future__ import annotations

from collections.abc import Iterator

from tests.benchmarks.fanout.figure import Figure
from tests.benchmarks.fanout.server import Crowd, close, connect, load_of, percentile, serving
from tests.benchmarks.processes import MeasurementError

#: Bytes of a message, and how many of them fill what the system and the hub hold for one.
SIZE, FILL = 4096, 400
#: Messages that are measured.
MESSAGES = 100
#: ms that a stuck subscriber may add to what the others wait, of 100: more are measured alone.
MOST, JUDGED = 50.0, 100


def slow(server: str, *, count: int, stuck: int, pace: float) -> Iterator[Figure]:
    """Measure with all reading, then with so many stuck of `count`."""
    what = f"{stuck} of {count:,} stuck"
    is_ours = server == "ours_hub"
    try:
        free, least, held = _measure(server, count=count, stuck=stuck, pace=pace)
    except (MeasurementError, OSError) as error:
        yield Figure(what=what, server=server, unit="ms", why_not=str(error))
        return
    yield Figure(
        what=f"{what}: of {MESSAGES} messages, missing for any of the others",
        server=server,
        unit="",
        value=float(MESSAGES - least),
        most=0.0 if is_ours else None,
    )
    for share, name in ((0.5, "50 %"), (0.99, "99 %")):
        if not held:
            continue
        added = 1000 * (percentile(held, share) - percentile(free, share))
        yield Figure(
            what=f"{what}: added to the delay of {name} of the others' messages",
            server=server,
            unit="ms",
            value=added,
            most=MOST if is_ours and count <= JUDGED else None,
        )
        alone = 1000 * percentile(free, share)
        yield Figure(
            what=f"{what}: that delay with all reading", server=server, unit="ms", value=alone
        )


def _measure(
    server: str, *, count: int, stuck: int, pace: float
) -> tuple[list[float], int, list[float]]:
    """Return the delays with all reading; with some stuck, the fewest messages, and the delays."""
    with serving(server) as (_, port):
        load = load_of(server, port, SIZE)
        others = [connect(load) for _ in range(count - stuck)]
        held = [connect(load, receive_buffer=4096) for _ in range(stuck)]
        try:
            everyone = Crowd([*others, *held])
            everyone.push(others[0])
            everyone.until(lambda: everyone.total >= count)
            everyone.paced(others[0], MESSAGES, pace)
            free = [*everyone.delays]
            crowd = Crowd(others)
            for _ in range(FILL // 10):
                crowd.begin()
                for _ in range(10):
                    crowd.push(others[0])
                crowd.until(lambda: crowd.total >= 10 * len(others))
                if crowd.total < 10 * len(others):
                    break  # it waits for those that are stuck
            least = crowd.paced(others[0], MESSAGES, pace)
            return free, least, [*crowd.delays]
        finally:
            close(*others, *held)
