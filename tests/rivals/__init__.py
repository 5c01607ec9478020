"""The same probes for three libraries: `python -m tests.rivals` writes docs/comparison.md."""
