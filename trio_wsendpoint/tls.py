"""TLS over any Trio stream, as the servers and clients of this library speak it.

`over_tls` makes one end of TLS over a stream; `TLSListener` accepts streams and is the server's
end of TLS over each; `TLSTransport` is what both make of a stream that has a non-blocking form.
"""

from trio_wsendpoint.server.wrappers import TLSListener
from trio_wsendpoint.transport.any_tls import AnyTLSStream, over_tls
from trio_wsendpoint.transport.tls import TLSTransport

__all__ = ["AnyTLSStream", "TLSListener", "TLSTransport", "over_tls"]
