"""Tests of one connection at work, without I/O."""
