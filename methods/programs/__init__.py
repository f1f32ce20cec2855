"""What runs in environments of its own: each file is served by a Python that has what it needs."""
