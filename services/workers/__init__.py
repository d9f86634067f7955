"""The workers: they count outcomes exactly once, evaluate experiments, and record decisions."""
