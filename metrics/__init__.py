"""Metrics: how well a registration did, by pure functions of arrays."""
