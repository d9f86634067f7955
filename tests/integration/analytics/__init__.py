"""The mathematics of `analytics/` beside an independent engine, which lives in an environment of its own."""
