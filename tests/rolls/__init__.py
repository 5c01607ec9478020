"""Two processes that share a socket take turns, under load: no client is refused."""
