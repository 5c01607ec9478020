"""Tests of what the functions that open things have in common."""
