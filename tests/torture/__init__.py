"""Connections, struck at every checkpoint: see `scenarios` for what is done to them."""
