"""The data plane: authenticates, assigns, asks providers, and emits one outcome per request."""
