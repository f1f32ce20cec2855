"""Programs as methods, as a plugin file declares them."""

from imedbench.core.programs import register_program
from imedbench.core.types import MethodInfo


@register_program(
    MethodInfo("centroids-perl", "lays centres of brightness on each other, in Perl", "shift"),
    command=["perl", "centroids.pl"],
)
def centroids(*, darkest: int = 0) -> None:
    """Centres of what is brighter than ``darkest``."""


@register_program(MethodInfo("acts", "does what its option says", "affine"), file="acts.py")
def acts(*, act: str = "shift", also: int = 0) -> None:
    """Acts as ``act`` says."""
