"""Tests of permessage-deflate as connections use it; `tests/extensions` has those of its parts."""
