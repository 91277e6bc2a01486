"""`python -m microlens.cli` is `microlens-build`."""

from microlens.cli import main

main()
