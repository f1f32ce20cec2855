"""Latency of methods, measured so that it stands up in review."""
