"""Tests of `services/cli/`."""
