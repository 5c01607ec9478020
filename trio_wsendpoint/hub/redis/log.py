"""The logger of the package."""

from __future__ import annotations

import logging

__all__ = ["logger"]

logger = logging.getLogger("trio_wsendpoint.hub.redis")
