"""The command line on a running control plane."""
