"""Registration by vessels: the default method."""
