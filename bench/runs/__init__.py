"""Makes rows: runs methods on pairs, stores what they answer and scores it."""
