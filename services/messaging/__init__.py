"""The Kafka edge: topics, wire formats, producers and consumers."""
