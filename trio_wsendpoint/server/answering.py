"""How a plain request is answered: the app's handler is called here, and what it returns written.

Whatever the handler does, the exchange ends: with its answer, with the answer of what it raised,
or with the connection.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Iterator
from typing import TypeAlias, cast

import trio

from trio_wsendpoint.entries.calling import call_async
from trio_wsendpoint.handshake.errors import BadRequest
from trio_wsendpoint.handshake.http import Response
from trio_wsendpoint.handshake.quoting import quoted
from trio_wsendpoint.http import StreamedResponse
from trio_wsendpoint.http.answers import has_body
from trio_wsendpoint.opening.settings import Logger
from trio_wsendpoint.server.apps import HttpAppCall, LetGo
from trio_wsendpoint.server.errors import ClientGone
from trio_wsendpoint.server.exchange import AnswerPhase, Exchange
from trio_wsendpoint.server.handler_watch import HandlerWatch
from trio_wsendpoint.server.http_request import HttpRequest

__all__ = ["HttpHandler", "answer_by", "answer_request", "conclude"]

#: What answers plain requests.  None: it has completed `HttpRequest.exchange` itself.
HttpHandler: TypeAlias = Callable[[HttpRequest], Awaitable[Response | StreamedResponse | None]]

_FAILED = Response(500, body="the server failed to answer\n")
_LATE = Response(503, body="the answer took too long\n")


async def answer_request(
    request: HttpRequest,
    handler: HttpHandler,
    *,
    logger: Logger,
    log_errors: bool = True,
) -> Exception | None:
    """Let `handler` answer `request`; return what it failed with, if it did.

    Afterwards the exchange of the request is complete, or the link is
    about to end: go on with `next_request`.

    * A `BadRequest` that the handler raises is the answer: those of its `read()`, `Unauthorized`.
    * Anything else that it raises, or returns instead of a response, is a 500, logged once as an
      error unless `log_errors` is false.
    * At `HttpLimits.handler` it is cancelled: a 503, logged as a warning.
    * When the client is lost it is cancelled, which is logged for debugging.  A client that has
      only ended its bytes may still read the answer.
    * If its answer has begun, the connection is closed instead, so that the client sees the cut.

    If cancelled, so is the handler, and the connection is closed.
    """
    exchange = request.exchange
    try:
        failure = await _answer(exchange, handler, request)
    except BaseException:
        exchange.abort()
        raise
    return await conclude(exchange, failure, logger, log_errors=log_errors)


async def answer_by(request: HttpRequest, call: HttpAppCall, let_go: LetGo) -> Exception | None:
    """Let `call` answer `request`; return what `conclude` is to be given, unless it let go.

    If cancelled, so is the app, and the connection is closed.
    """
    exchange = request.exchange
    watch = HandlerWatch(exchange, call.lose)

    def stop(failure: Exception | None) -> None:
        watch.stop()  # for the server's end waits for those that are watched
        let_go(failure)

    watch.start()
    try:
        return await call.serve(stop)
    except BaseException:
        exchange.abort()
        raise
    finally:
        watch.stop()


async def conclude(
    exchange: Exchange, failure: Exception | None, logger: Logger, *, log_errors: bool = True
) -> Exception | None:
    """Tell client and log of `failure`, if there is one; return it if it is the handler's."""
    if failure is not None:
        try:
            failure = await _say_failure(exchange, failure, logger)
        except BaseException:
            exchange.abort()
            raise
    if failure is not None and log_errors:
        logger.error("the HTTP handler failed for %s", _shown(exchange), exc_info=failure)
    return failure


class _Late(Exception):
    """The handler has not begun its answer in time."""


async def _answer(
    exchange: Exchange,
    handler: HttpHandler,
    request: HttpRequest,
) -> Exception | None:
    """Run the handler and write its answer; return what was raised."""
    link = exchange.link
    with trio.CancelScope(deadline=link.http.deadline) as scope:
        exchange.limit(scope)
        watch = HandlerWatch(exchange, scope.cancel)
        watch.start()
        try:
            await _handle(exchange, handler, request)
        except Exception as error:  # noqa: BLE001 - it is told
            return error
        finally:
            watch.stop()
    if scope.cancelled_caught:
        return link.lost or _Late()
    return None


@trio.lowlevel.disable_ki_protection
async def _handle(exchange: Exchange, handler: HttpHandler, request: HttpRequest) -> None:
    """Call what is the app's: the handler, and the iterator of its answer."""
    answer = await call_async("http_handler", handler, request)
    if isinstance(answer, Response):
        await exchange.respond(answer)
    elif isinstance(answer, StreamedResponse):
        await _stream(exchange, answer)
    elif answer is not None or exchange.phase is not AnswerPhase.COMPLETE:
        # Its type alone: what it holds may be a secret.
        raise TypeError(f"http_handler returns a Response, not {type(answer)}")


async def _stream(exchange: Exchange, answer: StreamedResponse) -> None:
    try:
        exchange.start(answer.status, answer.headers)
        if has_body(answer.status, exchange.head.request.method):
            # A client may wait for the head, before there is a piece.
            await exchange.write(b"")
            async for piece in answer.body:
                await exchange.write(piece)
        await exchange.finish()
    finally:
        await _close(answer.body)


async def _close(body: AsyncIterable[bytes]) -> None:
    close = cast("Callable[[], Awaitable[object]] | None", getattr(body, "aclose", None))
    if close is not None:
        await close()


async def _say_failure(exchange: Exchange, error: Exception, logger: Logger) -> Exception | None:
    """Tell the client of `error`; return it if it is the handler's failure."""
    leaves = list(_leaves(error))
    try:
        if all(isinstance(one, ClientGone) and exchange.is_own(one) for one in leaves):
            exchange.abort()
            logger.debug("the HTTP handler ended: %s", leaves[0])
            return None
        if all(isinstance(one, BadRequest) for one in leaves):
            await _give(exchange, cast("BadRequest", leaves[0]))
            return None
        is_late = isinstance(error, _Late)
        if is_late:
            logger.warning("the HTTP handler took too long for %s", _shown(exchange))
        await exchange.fail(_LATE if is_late else _FAILED)
    except ClientGone as gone:
        logger.debug("the client could not be told: %s", gone)
    return None if isinstance(error, _Late) else error


async def _give(exchange: Exchange, error: BadRequest) -> None:
    """Answer what `error` says; what is wrong with the request itself ends the connection."""
    if exchange.is_own(error):
        await exchange.refuse(error)
    elif exchange.phase is AnswerPhase.NOTHING:
        await exchange.respond(error.response)
    else:
        await exchange.fail(error.response)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield `error`, or those in the group that it is."""
    if isinstance(error, BaseExceptionGroup):
        for one in cast("BaseExceptionGroup[BaseException]", error).exceptions:
            yield from _leaves(one)
    else:
        yield error


def _shown(exchange: Exchange) -> str:
    """Return what was asked, for the log; never the query, which may hold secrets."""
    request = exchange.head.request
    return f"{quoted(request.method)} {quoted(request.raw_path)}"
