"""A fleet on paper: what a million connections cost, from what two processes cost as measured."""
