"""The lifespan of an application: its events, its failures, its bounds."""

from __future__ import annotations

import contextvars
import logging

import pytest
import trio
import trio.testing

from trio_wsendpoint.asgi.errors import LifespanError
from trio_wsendpoint.asgi.lifespan import Lifespan

LOGGER = logging.getLogger("trio_wsendpoint.test")
VARIABLE = contextvars.ContextVar("VARIABLE", default="unset")


async def whole(app, **options) -> Lifespan:
    """Start and stop the lifespan of `app`."""
    lifespan = Lifespan(app, LOGGER, **options)
    async with trio.open_nursery() as nursery:
        await lifespan.start(nursery)
        await lifespan.stop()
    return lifespan


def saying(*kinds: str, message: str = ""):
    """Return an application that answers each event with the next of `kinds`."""
    seen = []

    async def app(scope, receive, send):
        assert scope["type"] == "lifespan"
        scope["state"]["pool"] = 1
        for kind in kinds:
            seen.append((await receive())["type"])
            await send({"type": f"lifespan.{kind}", "message": message})

    app.seen = seen  # type: ignore[attr-defined]
    return app


async def test_a_whole_lifespan() -> None:
    app = saying("startup.complete", "shutdown.complete")
    lifespan = await whole(app)
    assert app.seen == ["lifespan.startup", "lifespan.shutdown"]
    assert lifespan.state == {"pool": 1}


async def test_the_startup_is_over_before_start_returns(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def app(scope, receive, send):
        await receive()
        await trio.sleep(5)
        scope["state"]["ready"] = True
        VARIABLE.set("set by the startup")
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    lifespan = Lifespan(app, LOGGER)
    async with trio.open_nursery() as nursery:
        await lifespan.start(nursery)
        assert lifespan.state == {"ready": True}
        assert lifespan.context[VARIABLE] == "set by the startup"
        await lifespan.stop()


@pytest.mark.parametrize(("message", "text"), [("no database", "no database"), ("", "startup.fai")])
async def test_a_startup_that_fails(message: str, text: str) -> None:
    with pytest.RaisesGroup(pytest.RaisesExc(LifespanError, match=text)):
        await whole(saying("startup.failed", message=message))


async def test_a_shutdown_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    app = saying("startup.complete", "shutdown.failed", message="\x1b[2J")
    with pytest.RaisesGroup(LifespanError):
        await whole(app)
    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert "\x1b" not in record.getMessage()


async def none_at_all(scope, receive, send):
    raise ValueError("http only")


async def none_by_name(scope, receive, send):
    await receive()
    raise NotImplementedError("no lifespan here")


async def returns_at_once(scope, receive, send):
    pass


@pytest.mark.parametrize("app", [none_at_all, none_by_name, returns_at_once])
async def test_an_application_without_a_lifespan(app, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    lifespan = await whole(app)
    assert lifespan.state is None
    assert len(caplog.records) == (app is not returns_at_once)


@pytest.mark.parametrize("app", [none_at_all, none_by_name])
async def test_lifespan_on_raises_what_the_application_raised(app) -> None:
    with pytest.RaisesGroup(pytest.RaisesExc((ValueError, NotImplementedError))):
        await whole(app, mode="on")


async def test_lifespan_off_calls_nothing() -> None:
    lifespan = await whole(saying("startup.failed"), mode="off")
    assert lifespan.state is None


async def test_an_error_of_the_startup_is_raised() -> None:
    async def app(scope, receive, send):
        await receive()
        raise KeyError("the database")

    with pytest.RaisesGroup(pytest.RaisesExc(KeyError, match="the database")):
        await whole(app)


async def test_an_application_for_asyncio_is_told_at_the_start() -> None:
    async def app(scope, receive, send):
        raise RuntimeError("no running event loop")

    with pytest.RaisesGroup(pytest.RaisesExc(LifespanError, match="needs asyncio")):
        await whole(app)


async def test_a_startup_that_never_answers(autojump_clock: trio.testing.MockClock) -> None:
    async def app(scope, receive, send):
        await trio.sleep_forever()

    started = trio.current_time()
    with pytest.RaisesGroup(pytest.RaisesExc(LifespanError, match="within 60 s")):
        await whole(app)
    assert trio.current_time() - started == 60


async def test_a_shutdown_that_never_ends_is_cancelled(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await trio.sleep_forever()

    started = trio.current_time()
    await whole(app)
    assert trio.current_time() - started == 30
    assert "within 30 s" in caplog.text


async def test_the_shutdown_runs_when_all_around_is_cancelled(
    autojump_clock: trio.testing.MockClock,
) -> None:
    done = []

    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await trio.sleep(5)
        done.append("pool closed")
        await send({"type": "lifespan.shutdown.complete"})

    async with trio.open_nursery() as nursery:
        lifespan = Lifespan(app, LOGGER)
        await lifespan.start(nursery)
        nursery.cancel_scope.cancel()
        with trio.CancelScope() as scope:
            scope.cancel()
            await lifespan.stop()
        assert scope.cancelled_caught
    assert done == ["pool closed"]


async def test_an_error_after_the_startup_ends_what_is_around() -> None:
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        raise KeyError("background work")

    with pytest.RaisesGroup(KeyError):
        async with trio.open_nursery() as nursery:
            await Lifespan(app, LOGGER).start(nursery)
            await trio.sleep_forever()


@pytest.mark.parametrize(
    "kinds",
    [
        ("shutdown.complete",),
        ("startup.complete", "startup.complete"),
        ("startup.complete", "shutdown.complete", "shutdown.complete"),
        ("anything",),
    ],
)
async def test_what_is_not_due(kinds: tuple[str, ...]) -> None:
    caught = []

    async def app(scope, receive, send):
        for kind in kinds[:-1]:
            await receive()
            await send({"type": f"lifespan.{kind}"})
        with pytest.raises(RuntimeError) as error:
            await send({"type": f"lifespan.{kinds[-1]}"})
        caught.append(str(error.value))

    await whole(app)
    assert f"'lifespan.{kinds[-1]}' is not due: it " in caught[0]


async def test_a_cancelled_start_ends_the_startup(autojump_clock: trio.testing.MockClock) -> None:
    async def app(scope, receive, send):
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        with trio.move_on_after(1):
            await Lifespan(app, LOGGER).start(nursery)
