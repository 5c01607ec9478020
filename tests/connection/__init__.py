"""Tests of `Connection` and its tasks: deterministic, without sockets, under a `MockClock`."""
