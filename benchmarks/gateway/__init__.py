"""What a gateway costs: CPU per relayed chat completion, next to other gateways doing the same work."""
