"""What a hub costs and bounds besides the CPU of a delivery: `all.figures`.

`slow`: how long the others wait when some take nothing.  `dashboard`: what a client that stalled
sees.  `memory`: what a stuck subscriber holds.  `workers`: messages a second and delay through
Redis.  Each starts the servers of `peers` that it needs, and a load of its own in this process.
"""
