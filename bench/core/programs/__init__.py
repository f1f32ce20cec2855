"""Methods that are programs of their own, in any language or in another Python environment."""

from imedbench.core.programs.declaring import register_program

__all__ = ["register_program"]
