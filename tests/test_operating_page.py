"""docs/operating.md is true: its code runs, and its fields and metrics are those there are."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

from tests.pages.blocks import sources_of
from trio_wsendpoint import AccessLog, AccessRecord
from trio_wsendpoint.addressing import Peer
from trio_wsendpoint.metrics import METRICS
from trio_wsendpoint.metrics.tally import OUTCOMES

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "operating.md").read_text()


def test_its_server_drains() -> None:
    sources = sources_of("docs/operating.md")
    [source] = [source for source in sources if "open_signal_receiver" in source]
    command = [sys.executable, "-W", "error", "-c", source]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0


def test_every_field_is_told() -> None:
    record = AccessRecord(request=None, peer=Peer(address="x"), status=400, ended=0, duration=0)
    fields = json.loads(AccessLog("json").line_of(record)).keys() - {"time"}
    assert {name for name in fields if f"`{name}`" not in PAGE} == set()


def test_every_metric_is_told() -> None:
    assert [name for name in METRICS if f"`{name}`" not in PAGE] == []
    assert [word for word, _ in OUTCOMES if word not in PAGE] == []
