"""COMPARE: a release in, a leaderboard out. The only package that imports torch."""

import os

# Read by torch's OpenMP when it loads. Its threads wait for each other in a busy loop, which is fine on idle cores; on
# cores shared with others it made training several times slower. Waiting this briefly costs nothing on idle ones.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")
