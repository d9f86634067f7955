"""Definitions as files: what is in them, and how they and the control plane come together."""
