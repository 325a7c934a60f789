"""The networks that `structure_coverage.py` prunes, by family: each gives a network and an example for it."""
