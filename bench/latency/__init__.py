"""Latency of methods, measured alone, in shuffled rounds, so that it stands up in review."""
