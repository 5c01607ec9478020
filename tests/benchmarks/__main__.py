"""`python -m tests.benchmarks`: see `run`."""

import signal
import sys

from tests.benchmarks.run import main

# Ended from outside, it ends what it has started.
signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
sys.exit(main())
