"""Tests of `trio_wsendpoint.extensions`, one module for each module."""
