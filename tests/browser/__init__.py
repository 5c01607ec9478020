"""Tests with a real browser: Debian's chromium, driven through our own client."""
