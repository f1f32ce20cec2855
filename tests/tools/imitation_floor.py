"""What a perfect match of every vessel pixel would leave where a drawn translation moves vessels.

Run as a script; nothing here is collected by pytest::

    python tests/tools/imitation_floor.py --pairs 12

The single-modal split of level imed shows a translation whose vessels lie about a pixel off, by
smooth noise. The same noise is drawn at the vessels of other synthetic eyes (by seed), affine and
quadratic maps are fitted to it by least squares, and read at the landmarks.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray

from imedbench.datasets.synthetic.benchmark import Synthetic
from imedbench.datasets.synthetic.textures import noise

OFF_PX, WAVE_PX = 1.2, 14.0  # of 512, as `render_octa_like` draws them
DRAWS = 3  # of the noise, for each eye


def rows(points: NDArray[np.float64], terms: int) -> NDArray[np.float64]:
    """Terms of a quadratic map, the first three affine."""
    x, y = (points.T - 256) / 256
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y][:terms], axis=1)


def main() -> None:
    """Print the mean error at the landmarks for either kind of map."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=4242, help="of the eyes")
    options = parser.parse_args()
    data = Synthetic(level="imed", pairs=options.pairs, seed=options.seed)
    left: dict[str, list[float]] = {"affine": [], "quadratic": []}
    for number, ref in enumerate(data.refs("single-modal")):
        truth = data.load(ref).truth
        y, x = np.nonzero(truth.fixed_vessels)
        vessels = np.column_stack([x, y]).astype(np.float64)
        rng = np.random.default_rng(number)
        for _ in range(DRAWS):
            shape = truth.fixed_vessels.shape
            moved = np.stack([OFF_PX * noise(shape, WAVE_PX, rng)[y, x] for _ in "xy"], axis=1)
            for kind, terms in (("affine", 3), ("quadratic", 6)):
                fit = np.linalg.lstsq(rows(vessels, terms), moved, rcond=None)[0]
                error = np.linalg.norm(rows(truth.fixed_points, terms) @ fit, axis=1)
                left[kind].append(float(error.mean()))
    print(", ".join(f"{kind} {np.mean(errors):.2f} px" for kind, errors in left.items()))


if __name__ == "__main__":
    main()
