"""imedbench: which registration method to trust on multi-modal retinal images."""

from importlib.metadata import version as _version

__version__ = _version("imedbench")
