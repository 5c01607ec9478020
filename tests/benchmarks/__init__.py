"""Speed and memory beside other libraries: `make bench`, or `python -m tests.benchmarks`.

What is measured, as data: `works`, `peers`, `targets`.  The programs: `servers`, `native` (in C)
and `load`, which opens `connections` and keeps them busy by its `loops`, or by those in C
(`engine`).  `processes` and `cores` start them and place them, `measure` runs them in interleaved
rounds.  `figures` and `results` compute, `report` and `plot` write `docs/benchmarks.md` and
`docs/benchmarks.svg`, `compare` measures another checkout.  `run` is the command, with `options`.
"""
