"""DECIDE: measurements in, verdicts with reasons out. Pure functions: they read and write nothing."""
