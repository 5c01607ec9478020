"""What the functions that open things have in common: arguments, options, and blocks.

`serve_endpoint`, `connect_endpoint`, `open_hub` and the others check what they are given, tell of
their options, and return a block that is entered once.  Nothing here knows a connection.
"""

__all__: list[str] = []
