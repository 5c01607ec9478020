"""What the openings of both roles share: what they are told, TLS, and what is made at the end."""

__all__: list[str] = []
