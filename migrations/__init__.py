"""The database schema's history: dated steps, each of which goes up and down."""
