"""`doctor`: what it finds at servers that work, and at servers that do not."""

from __future__ import annotations

import json
from functools import partial

import pytest
import trio

from tests.cli.helpers import command
from trio_wsendpoint import (
    Deflate,
    Limits,
    Response,
    ServerEndpoint,
    ServerLimits,
    run_endpoint,
    serve_endpoint,
)
from trio_wsendpoint.cli.advice import advice_for_tls
from trio_wsendpoint.cli.doctor import Doctor, Examination
from trio_wsendpoint.cli.findings import Finding
from trio_wsendpoint.cli.opening import Plan, Target
from trio_wsendpoint.cli.outcome import Status
from trio_wsendpoint.cli.probes import tell_tls
from trio_wsendpoint.cli.tls import TLSFacts
from trio_wsendpoint.errors import PolicyViolation, TLSFailed
from trio_wsendpoint.testing import MemoryNetwork


async def echo(connection):
    async for message in connection:
        await connection.send(message)


async def examine(url="ws://server/", *, handler=echo, target=None, wanted=None, **server):
    """What the doctor tells of a server in memory, and its outcome."""
    network = MemoryNetwork()
    told: list[Finding] = []
    plan = Plan.of(Target(url=url, proxy="none", **(target or {})))
    plan.options["open_stream"] = network.open_stream
    async with serve_endpoint(handler, listeners=[network.listen()], **server):
        doctor = Doctor(plan, Examination(is_direct=False, **(wanted or {})), told.append)
        outcome = await doctor.examine()
    return outcome, {finding.subject: finding for finding in told}


async def test_a_server_that_works(autojump_clock):
    outcome, found = await examine(deflate=Deflate(), subprotocols=["chat"])
    assert outcome.status == Status.DONE
    assert {name: finding.grade for name, finding in found.items()} == {
        "opening": "ok",
        "compression": "ok",
        "ping": "ok",
        "close": "ok",
        "the rest": "skip",
    }
    assert found["compression"].text.startswith("permessage-deflate")


async def test_an_origin_that_is_refused(autojump_clock):
    outcome, found = await examine(origins=["https://app.example", None])
    assert outcome.status == Status.REFUSED
    assert found["opening"].grade == "FAIL"
    assert "403 Forbidden" in found["opening"].text
    assert found["opening"].why == "without the Origin http://server: 101"
    assert 'origins=["http://server"]' in found["opening"].change
    assert "$http_host" in found["opening"].change


async def test_another_origin_may_be_sent(autojump_clock):
    target = {"origin": "https://app.example"}
    outcome, found = await examine(target=target, origins=["https://app.example"])
    assert outcome.status == Status.DONE
    assert found["opening"].grade == "ok"


async def test_a_subprotocol_that_is_missing(autojump_clock):
    outcome, found = await examine(target={"subprotocols": ("chat",)})
    assert outcome.status == Status.NO_ANSWER
    assert (
        found["opening"].why
        == "without the Origin http://server: BadUpgrade; " + ("without the subprotocol chat: 101")
        or found["opening"].why == "without the subprotocol chat: 101"
    )
    assert "offer a subprotocol that the server has" in found["opening"].change


async def test_what_was_tried_when_nothing_helps(autojump_clock):
    async def no(_request):
        return Response(401, {"WWW-Authenticate": "Bearer"})

    outcome, found = await examine(process_request=no)
    assert outcome.status == Status.REFUSED
    assert found["opening"].why == (
        "without the Origin http://server: 401; without compression: 401"
    )
    assert found["opening"].change.startswith("send credentials")


async def test_a_server_that_answers_no_ping(autojump_clock):
    class Mute(ServerEndpoint):
        def on_ping(self, frame):
            """Say nothing."""

    outcome, found = await examine(endpoint_class=Mute)
    assert outcome.status == Status.CHECK
    assert found["ping"].grade == "FAIL"


async def test_a_server_that_is_silent(autojump_clock):
    network = MemoryNetwork()
    told: list[Finding] = []
    plan = Plan.of(Target(url="ws://server/", proxy="none"))
    plan.options["open_stream"] = network.open_stream
    network.listen()
    outcome = await Doctor(plan, Examination(is_direct=False), told.append).examine()
    assert outcome.status == Status.TIME
    assert "did not answer within 10 s" in told[0].text


async def test_idle_time_and_size(autojump_clock):
    async def leave(connection):
        with trio.move_on_after(60):
            await echo(connection)

    wanted = {"is_deep": True, "idle": 120.0, "most": 4 * 1024 * 1024}
    limits = Limits(message_size=1024 * 1024 + 5)
    outcome, found = await examine(handler=leave, wanted=wanted, limits=limits)
    assert outcome.status == Status.DONE
    assert found["idle"].grade == "warn"
    assert found["idle"].text.startswith("ended after 60 s of silence")
    assert found["size"].text.startswith("1,048,576 B were taken, 2,097,152 B were not: ")
    assert "1009" in found["size"].text


async def test_only_what_is_asked(autojump_clock):
    _outcome, found = await examine(wanted={"only": ["ping"]})
    assert set(found) == {"ping", "the rest"}


def test_a_certificate_that_ends_soon():
    assert tell_tls(TLSFacts("1.3", ("app.example",), 9)).grade == "warn"
    assert tell_tls(TLSFacts("1.1", ("app.example",), 90)).grade == "warn"
    assert tell_tls(TLSFacts("1.3", ("app.example",), 90)).grade == "ok"


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("certificate has expired", "renew"),
        ("Hostname mismatch, certificate is not valid for 'x'", "--servername"),
        ("[SSL: WRONG_VERSION_NUMBER]", "ws://"),
        ("unable to get local issuer certificate", "--cacert"),
    ],
)
def test_advice_for_tls(text, advice):
    assert advice in (advice_for_tls(TLSFailed(text)) or "")


async def test_in_a_process():
    done = await command("doctor", "ws://name.invalid/")
    assert done.returncode == 3
    assert done.stdout.startswith(b"FAIL  name         name.invalid: ")
    async with serve_endpoint(echo, 0) as server:
        url = f":{server.port}/"
        done = await command("doctor", url, "--json")
        findings = [json.loads(line) for line in done.stdout.splitlines()]
        subjects = [finding["subject"] for finding in findings]
        assert done.returncode == 0
        done = await command("doctor", url, "--deep")
        assert (done.returncode, b"add --yes" in done.stderr) == (2, True)
    assert subjects == ["name", "TCP", "opening", "compression", "ping", "close", "the rest"]
    done = await command("doctor", url)
    assert done.returncode == 4
    assert b"FAIL  TCP" in done.stdout


async def test_rules_that_a_server_breaks(autojump_clock):
    class Lenient(ServerEndpoint):
        def fail(self, error):
            """Close with a code that is wrong for all that the doctor sends."""
            super().fail(PolicyViolation("no"))

    wanted = {"is_deep": True, "only": ("rules",)}
    outcome, found = await examine(wanted=wanted, endpoint_class=Lenient)
    assert outcome.status == Status.DONE
    assert found["rules"].grade == "warn"
    assert "a text that is no UTF-8: 1008" in found["rules"].text
    assert "RFC 6455 section 8.1 wants 1007" in found["rules"].text
    assert "a reserved bit: 1008" in found["rules"].text


async def test_a_server_that_keeps_the_rules(autojump_clock):
    _, found = await examine(wanted={"is_deep": True, "only": ("rules",)})
    assert found["rules"].grade == "ok"


async def test_a_server_that_dies_of_a_probe(autojump_clock):
    network = MemoryNetwork()
    told: list[Finding] = []
    plan = Plan.of(Target(url="ws://server/", proxy="none"))
    plan.options["open_stream"] = network.open_stream
    async with trio.open_nursery() as nursery:
        run = partial(run_endpoint, echo, listeners=[network.listen()])
        await nursery.start(run)

        def tell(finding):
            told.append(finding)
            if finding.subject == "close":
                nursery.cancel_scope.cancel()

        examination = Examination(is_direct=False, is_deep=True, only=("close", "rules"))
        with trio.CancelScope(shield=True):
            outcome = await Doctor(plan, examination, tell).examine()
    assert (told[-1].grade, told[-1].subject) == ("FAIL", "rules")
    assert outcome.status != Status.DONE


async def test_load(autojump_clock):
    _, found = await examine(wanted={"is_deep": True, "only": ("load",)})
    assert found["load"].grade == "ok"
    assert found["load"].text.startswith("50 of 50 connections at once were answered")


async def test_load_that_a_server_does_not_take(autojump_clock):
    limits = ServerLimits(connections=20)
    _, found = await examine(wanted={"is_deep": True, "only": ("load",)}, server_limits=limits)
    assert found["load"].grade == "warn"
    assert "20 of 50" in found["load"].text
    assert "503" in found["load"].text
