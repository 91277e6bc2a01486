"""Search settings on validation: a grid, successive halving, a process for each configuration."""
