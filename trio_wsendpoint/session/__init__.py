"""One connection at work, without I/O: what a loop of any kind drives."""

from trio_wsendpoint.session.rates import PeerRate, RateLimit

__all__ = ["PeerRate", "RateLimit"]
