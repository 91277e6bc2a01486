"""The speed suite: whole jobs against a floor that does the least possible, in the same run, as ratios."""
