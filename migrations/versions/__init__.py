"""The steps, in order of their dates."""
