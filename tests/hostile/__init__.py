"""The 224 rows of hostile inputs, faults and abuses: a test each, named after its number."""
