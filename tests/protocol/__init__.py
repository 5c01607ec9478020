"""The tests of `trio_wsendpoint.protocol`: no I/O but pipes and socket pairs, no Trio."""
