"""Redis killed and frozen under load: `python -m tests.redis_faults`, which prints what was lost.

Each run has a server, processes that publish, and processes that follow, all of one program, with
a `RedisBackplane` each.  For each kind of persistence the counts say what the documents promise:

* a message is *lost* if its publisher has its receipt, and a subscriber never gets it;
* it is *untold* if it is lost, and that subscriber was told no gap of its topic between the last
  message before it and the first one behind it, of the same publisher;
* it is *doubled* if a subscriber has it twice after the repeats were dropped by their numbers;
* a subscriber is *live* again when it has a message that was published after the server's return.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import trio

from tests.hub.redis.servers import PROGRAM, RedisServer
from trio_wsendpoint.hub import Entry, History, Position, Publication, PublishError, Reason
from trio_wsendpoint.hub.numbers import Heard
from trio_wsendpoint.hub.redis import RedisBackplane

Mode = Literal["always", "everysec", "none", "pubsub"]
MODES: tuple[Mode, ...] = ("always", "everysec", "none", "pubsub")
SETTINGS: dict[Mode, dict[str, str]] = {
    "always": {"appendonly": "yes", "appendfsync": "always"},
    "everysec": {"appendonly": "yes", "appendfsync": "everysec"},
    "none": {},
    "pubsub": {},
}
TOPICS = tuple("abcd")
#: Seconds between two messages of a publisher.
PACE = 0.01
#: Seconds that a server stays frozen, runs between two faults, and may take to be noticed.
FROZEN, BETWEEN, PATIENCE = 6.0, 1.5, 60.0
#: Seconds after the server's return in which every subscriber is to be live again.
LIVE = 2.0


@dataclass
class Run:
    """What the publishers know: what was acknowledged, and how many were not, or not surely."""

    mode: Mode
    acked: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    failed: int = 0
    is_over: bool = False

    def make(self, url: str) -> RedisBackplane:
        if self.mode == "pubsub":
            return RedisBackplane(url)
        return RedisBackplane(
            url,
            history=History(entries=100_000, bytes=10**9),
            durability={"always": "always", "everysec": "aof"}.get(self.mode, "none"),  # type: ignore[arg-type]
        )


class Subscriber:
    """A receiver that drops repeats as a hub does, and keeps what it needs for the counts."""

    def __init__(self) -> None:
        self.told: dict[str, list[str | None]] = defaultdict(list)  # in order; None is a gap
        self.gaps: dict[Reason, int] = defaultdict(int)
        self.repeats = 0
        self.downs: list[float] = []
        self.newest = -1.0  # when the newest message that it has was published
        self.began: set[str] = set()
        self._heard: dict[str, Heard] = defaultdict(Heard)
        self._changed = trio.Event()

    def up(self, epoch: str) -> None:
        pass

    def down(self, error: Exception) -> None:
        self.downs.append(trio.current_time())

    def following(self, topic: str, position: Position | None) -> None:
        self.began.add(topic)
        self._wake()

    def gap(self, topics: Iterable[str], reason: Reason, lost: int | None = None) -> None:
        for topic in topics:
            self._note_gap(topic, reason)

    def deliver(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            topic = entry.publication.topic
            missing = self._heard[topic].judge(entry.publisher, entry.number)
            if missing is None:
                self.repeats += 1
                continue
            if missing:
                self._note_gap(topic, "unsure")
            text = str(entry.publication.message)
            self.told[topic].append(text)
            self.newest = max(self.newest, float(text.split()[1]))
        self._wake()

    def _note_gap(self, topic: str, reason: Reason) -> None:
        self.gaps[reason] += 1
        self.told[topic].append(None)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def until_newer(self, than: float) -> None:
        """Wait until it has a message that was published later."""
        while self.newest <= than:
            await self._changed.wait()

    async def until_followed(self) -> None:
        while len(self.began) < len(TOPICS):
            await self._changed.wait()


async def publish(run: Run, backplane: RedisBackplane, name: str) -> None:
    """Publish until the run is over; note what was acknowledged."""
    count = 0
    while not run.is_over:
        topic = TOPICS[count % len(TOPICS)]
        text = f"{name}.{count} {trio.current_time():.6f}"
        count += 1
        try:
            await backplane.publish_many([Publication(topic, text)])
        except PublishError:
            run.failed += 1
        else:
            run.acked[topic].append(text)
        await trio.sleep(PACE)


async def try_mode(mode: Mode, *, kills: int, freezes: int, subscribers: int) -> bool:
    """Do the faults with one kind of persistence, print the counts; return whether all is well."""
    run = Run(mode)
    ears = [Subscriber() for _ in range(subscribers)]
    live: dict[str, list[float]] = {"kill": [], "freeze": []}
    noticed: list[float] = []
    settings: dict[str, Any] = SETTINGS[mode]
    pids: list[int | None] = []
    with RedisServer(**settings) as server:
        async with trio.open_nursery() as nursery:
            publishers = [run.make(server.url) for _ in range(2)]
            for backplane in publishers:
                await nursery.start(backplane.run, Subscriber())
            for ear in ears:
                backplane = run.make(server.url)
                await nursery.start(backplane.run, ear)
                for topic in TOPICS:
                    backplane.follow(topic)
                await ear.until_followed()
            async with trio.open_nursery() as load:
                for number, backplane in enumerate(publishers):
                    load.start_soon(publish, run, backplane, f"p{number}")
                for what in ["kill"] * kills + ["freeze"] * freezes:
                    await trio.sleep(BETWEEN)
                    pids.append(server.pid)
                    began = trio.current_time()
                    if what == "kill":
                        await trio.to_thread.run_sync(server.kill)
                        await trio.sleep(0.2)
                        await trio.to_thread.run_sync(server.start)
                    else:
                        server.freeze()
                        await trio.sleep(FROZEN)
                        noticed += [at - began for ear in ears for at in ear.downs if at > began]
                        server.thaw()
                    back = trio.current_time()
                    with trio.fail_after(PATIENCE):
                        for ear in ears:
                            await ear.until_newer(back)
                            live[what].append(trio.current_time() - back)
                await trio.sleep(BETWEEN)
                run.is_over = True
            await settle(run, ears)
            nursery.cancel_scope.cancel()
        pids.append(server.pid)
    return report(run, ears, live, noticed, alive(pids))


async def settle(run: Run, ears: list[Subscriber]) -> None:
    """Give the last messages time to arrive: two seconds without any."""
    count = -1
    while count != (count := sum(len(one) for ear in ears for one in ear.told.values())):
        await trio.sleep(2.0)


def alive(pids: list[int | None]) -> int:
    """Count the servers that run yet, and the processes that were started and not reaped."""
    servers = sum(Path(f"/proc/{pid}").exists() for pid in pids if pid is not None)
    children = subprocess.run(
        ["ps", "--no-headers", "-o", "comm", "--ppid", str(os.getpid())],
        capture_output=True,
        text=True,
    ).stdout.split()
    return servers + sum("redis" in name for name in children)


def is_told(lost: str, told: list[str | None]) -> bool:
    """Tell whether a gap stands where a message is missing."""
    name, count = name_of(lost)
    has_gap = False
    for text in told:
        if text is None:
            has_gap = True
        elif name_of(text)[0] == name:
            if name_of(text)[1] > count:
                return has_gap
            has_gap = False
    return has_gap


def name_of(text: str) -> tuple[str, int]:
    """Return publisher and number of a message of ours."""
    name, _, count = text.split(maxsplit=1)[0].partition(".")
    return name, int(count)


def report(
    run: Run,
    ears: list[Subscriber],
    live: dict[str, list[float]],
    noticed: list[float],
    leaked: int,
) -> bool:
    """Print the counts of a run; return whether they are what the documents promise."""
    lost = untold = doubled = 0
    gaps: dict[Reason, int] = defaultdict(int)
    for ear in ears:
        for reason, count in ear.gaps.items():
            gaps[reason] += count
        for topic, texts in run.acked.items():
            told = ear.told[topic]
            got = [text for text in told if text is not None]
            missing = [text for text in texts if text not in set(got)]
            lost += len(missing)
            untold += sum(not is_told(text, told) for text in missing)
            doubled += len(got) - len(set(got))
    acked = sum(map(len, run.acked.values()))
    print(f"== {run.mode}: {len(ears)} subscribers, {len(TOPICS)} topics")
    print(f"   acknowledged {acked}, not or not surely published {run.failed}")
    for what, times in live.items():
        if times:
            middle = sorted(times)[len(times) // 2]
            print(f"   {what}: every subscriber live again within {max(times):.2f} s", end="")
            print(f" (half of them within {middle:.2f} s; at most {LIVE:g} s)")
    if noticed:
        print(f"   a frozen server was noticed within {max(noticed):.2f} s")
    print(f"   gaps told {dict(gaps)}, repeats dropped {sum(ear.repeats for ear in ears)}")
    print(f"   acknowledged and lost {lost}, of these untold {untold}; doubled {doubled}")
    print(f"   processes leaked {leaked}")
    is_lossless = run.mode == "always"
    is_late = max(max(times, default=0.0) for times in live.values()) > LIVE
    return not (untold or doubled or leaked or is_late or (is_lossless and (lost or gaps)))


def main() -> int:
    parser = argparse.ArgumentParser(description="Redis killed and frozen under load.")
    parser.add_argument("modes", nargs="*", default=["always"], help=" ".join(MODES))
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--freezes", type=int, default=5)
    parser.add_argument("--subscribers", type=int, default=6)
    given = parser.parse_args()
    if unknown := set(given.modes) - set(MODES):
        parser.error(f"no such mode: {unknown}")
    if PROGRAM is None:
        print("Debian's redis-server is missing")
        return 2
    results = [
        trio.run(
            lambda mode=mode: try_mode(  # type: ignore[misc]
                mode,
                kills=given.kills,
                freezes=given.freezes,
                subscribers=given.subscribers,
            )
        )
        for mode in given.modes
    ]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
