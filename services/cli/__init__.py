"""The command ``headgate``: it wires settings to services and starts them."""
