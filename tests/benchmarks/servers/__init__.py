"""One program for each server: `python -m tests.benchmarks.servers.<name>`; see `common`."""
