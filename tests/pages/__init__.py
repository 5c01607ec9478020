"""The code of the pages and of the docstrings, found by Sybil: every block is run, or says why not.

A program is run here, from its first line to its last, and prints what the block of text below it
shows.  `python -m tests.pages` writes those blocks, `--check` compares them.  A comment above a
block is its mark:

    <!-- run by: tests/test_asgi_page.py -->     another test runs it, which needs more than this
    <!-- compiled: REASON -->                    it cannot be run
"""
