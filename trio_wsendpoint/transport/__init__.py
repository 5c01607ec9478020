"""Where a connection's bytes go: streams that read and write without waiting, and TLS over them.

`NonBlockingStream` is public: a stream of your own that implements it is driven without a task
switch a message.
"""

from trio_wsendpoint.transport.accepted_socket import AcceptedSocket
from trio_wsendpoint.transport.sockets import SocketTransport, non_blocking
from trio_wsendpoint.transport.streams import NonBlockingStream

__all__ = ["AcceptedSocket", "NonBlockingStream", "SocketTransport", "non_blocking"]
