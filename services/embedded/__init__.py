"""Real Kafka and real PostgreSQL out of Python packages, for the demo, development and tests."""
