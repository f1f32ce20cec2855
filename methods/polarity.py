"""See `imedbench.core.polarity`."""

from imedbench.core.polarity import field_of_view, has_dark_vessels, local_contrast, normalise

__all__ = ["field_of_view", "has_dark_vessels", "local_contrast", "normalise"]
