"""What files may define."""

KINDS = ("team", "endpoint", "variant", "route", "metric", "experiment", "webhook")
"""In the order in which they depend on each other."""
