"""Registration methods."""
