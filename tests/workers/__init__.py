"""Tests of trio_wsendpoint/workers."""
