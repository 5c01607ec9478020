"""One connection under Trio: what an application holds, and the tasks behind it."""

from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.connection.streams import ReceiveStream, SendStream

__all__ = ["Connection", "ReceiveStream", "SendStream"]
