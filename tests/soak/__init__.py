"""A long run under every kind of load at once: `python -m tests.soak`, and `make soak`."""
