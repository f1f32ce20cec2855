"""Reads rows: tables, comparisons, protocols and statistics of stored runs."""
