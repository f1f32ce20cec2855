"""The Python side: align a pair or a whole set, benchmark methods, read what came of it.

Example::

    import imedbench as ib

    found = ib.register("fundus.png", "octa.png", method="imed")
    run = ib.benchmark(["sift", "imed", my_function], data="synthetic", out="runs/x")
    run.summary()
"""

from imedbench.api.many_pairs import benchmark
from imedbench.api.one_pair import Alignment, register
from imedbench.api.results import Plot, Results
from imedbench.api.whole_set import AlignedSet, align
from imedbench.core.transforms import conversions

__all__ = [
    "AlignedSet",
    "Alignment",
    "Plot",
    "Results",
    "align",
    "benchmark",
    "conversions",
    "register",
]
