"""Makes the parts of a connection from what its opening was told and agreed on."""

from __future__ import annotations

import trio

from trio_wsendpoint.connection.peer import ConnectionLogger
from trio_wsendpoint.connection.tasks import Tasks
from trio_wsendpoint.opening.settings import ConnectionSettings
from trio_wsendpoint.protocol.endpoint import Endpoint
from trio_wsendpoint.protocol.extension import MessageExtension
from trio_wsendpoint.session.session import Session
from trio_wsendpoint.transport.streams import NonBlockingStream

__all__ = ["make_endpoint", "make_tasks"]


def make_endpoint(
    default: type[Endpoint], settings: ConnectionSettings, extension: MessageExtension | None
) -> Endpoint:
    """Return the endpoint of a connection; raises what a class of the user's raises."""
    endpoint_class = settings.endpoint_class or default
    return endpoint_class(
        max_pings=settings.heartbeat.max_pings if settings.heartbeat is not None else 0,
        on_data_frame=settings.on_data_frame,
        before_send_frame=settings.before_send_frame,
        unrecognized_pong=settings.unrecognized_pong,
        limits=settings.limits,
        extension=extension,
        hold_end=True,
        random_bytes=settings.random_bytes,
    )


def make_tasks(
    stream: trio.abc.Stream,
    transport: NonBlockingStream | None,
    endpoint: Endpoint,
    settings: ConnectionSettings,
    logger: ConnectionLogger,
) -> Tasks:
    """Return what runs behind a connection; `transport` is the non-blocking form of `stream`."""
    session = Session(
        endpoint,
        now=trio.current_time(),
        limits=settings.limits,
        timeouts=settings.timeouts,
        heartbeat=settings.heartbeat,
        half_closes=isinstance(stream, trio.abc.HalfCloseableStream),
        logger=logger,
    )
    return Tasks(stream, transport, session, patience=settings.timeouts.write, logger=logger)
