"""Tests of what the openings of both roles share."""
