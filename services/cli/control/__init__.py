"""Commands that talk to the control plane over HTTP."""
