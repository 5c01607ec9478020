"""Speed and memory beside other libraries: `make bench`, or `python -m tests.benchmarks`.

`works` says what is measured and `peers` against whom; `servers` are the programs measured, `load`
the program that keeps them busy; `measure` runs them in interleaved rounds, `targets` judges, and
`report` and `plot` write `docs/benchmarks.md` and `docs/benchmarks.svg`.
"""
