"""The ground floor: what a plugin author imports, and all that a plugin may import of imedbench."""
