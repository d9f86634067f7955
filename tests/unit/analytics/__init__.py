"""Tests of `analytics/`, one module for each module there."""
