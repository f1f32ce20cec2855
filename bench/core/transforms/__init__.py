"""Maps between the pixels of two images: one type, several kinds, both directions."""

from imedbench.core.transforms.base import (
    Composition,
    SingularTransformError,
    Transform,
    compose,
)
from imedbench.core.transforms.dense import DenseField
from imedbench.core.transforms.inverse import NumericalInverse
from imedbench.core.transforms.matrix import Affine, Homography
from imedbench.core.transforms.smooth import Quadratic, ThinPlateSpline
from imedbench.core.transforms.storage import (
    from_bytes,
    from_dict,
    from_parts,
    is_large,
    to_bytes,
    to_dict,
    to_parts,
)
from imedbench.core.transforms.warp import (
    inside,
    jacobian_determinant,
    pixel_grid,
    resample,
    sampling_map,
    warp_image,
)

__all__ = [
    "Affine",
    "Composition",
    "DenseField",
    "Homography",
    "NumericalInverse",
    "Quadratic",
    "SingularTransformError",
    "ThinPlateSpline",
    "Transform",
    "compose",
    "from_bytes",
    "from_dict",
    "from_parts",
    "inside",
    "is_large",
    "jacobian_determinant",
    "pixel_grid",
    "resample",
    "sampling_map",
    "to_bytes",
    "to_dict",
    "to_parts",
    "warp_image",
]
