"""Measures STOMP brokers, ours among them: see bench/README.md."""
