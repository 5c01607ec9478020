"""Tests of `send_stream` and `receive_stream`: deterministic, without sockets."""
