"""Extensions of messages: permessage-deflate (RFC 7692), without any I/O.

`Deflate` is what a user passes: the options, and the negotiator that makes offers and answers
them.  `PerMessageDeflate` is what a connection holds once both sides have agreed.
"""

from __future__ import annotations

from trio_wsendpoint.extensions.deflate import Deflate
from trio_wsendpoint.extensions.deflate_options import DeflateOptions
from trio_wsendpoint.extensions.permessage_deflate import DeflateStatistics, PerMessageDeflate

__all__ = ["Deflate", "DeflateOptions", "DeflateStatistics", "PerMessageDeflate"]
