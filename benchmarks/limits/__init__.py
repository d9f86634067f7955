"""How exactly a limit is kept by several gateways."""
