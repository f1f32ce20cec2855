"""A synthetic retina: eyes grown from a seed and seen by several devices, with exact truth."""
