"""What files may define."""

KINDS = ("endpoint", "variant", "route", "metric", "experiment", "webhook")
"""In the order in which they depend on each other."""
