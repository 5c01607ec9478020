"""Proxies of other projects in front of a server: `python -m tests.proxies` prints a table."""
