"""Tests of `analytics/characteristics/`, the self-test."""
