"""What the SuperPoint methods share: options, weights, keypoints of an image, the answer."""

# No `from __future__ import annotations`: subclasses in other modules inherit these options, and
# the types of theirs would be looked up there.

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from imedbench.core.arrays import Points
from imedbench.core.options import Positive, Side
from imedbench.core.resize import resize_points
from imedbench.core.stages import stage
from imedbench.core.types import Image, MethodInfo, Registration
from imedbench.methods import weight_sources
from imedbench.methods.estimators import Model, estimator_name, registration_from_matches
from imedbench.methods.licences import ask_licence

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from imedbench.methods.networks.keypoints import Keypoints

Look = Literal["auto", "normalised", "grey"]
Precision = Literal["auto", "float32", "float16", "bfloat16"]


@dataclass(frozen=True, eq=False)
class FoundPoints:
    """Keypoints of one image.

    Args:
        keypoints: batch of one, in px of the image at working size.
        size: width and height of the image at working size.
        native: N×2 px in the image as it came; padding included.
    """

    keypoints: "Keypoints"
    size: tuple[int, int]
    native: Points


@dataclass(kw_only=True, eq=False)
class SuperPointMethod(ABC):
    """A method that matches SuperPoint keypoints; its fields are its options.

    Args:
        weights: ``retina`` (ours), ``official`` (the authors', from the Hugging Face hub) or the
            path of a .pth or .safetensors file.
        keypoints: at most this many an image.
        threshold: least score of a keypoint.
        model: transform that the robust estimator fits.
        size: px; images are shown to the network with this longer side. 0 leaves them as they are.
        look: ``normalised`` evens out light and makes vessels bright, ``grey`` shows the green
            channel as it is; ``auto`` takes what the weights were trained with.
        precision: of the arithmetic; ``auto`` takes half precision where the hardware is made for
            it.
        accept_license: accept the terms of non-commercial weights, once and for all.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    paper: ClassVar[str]

    weights: str = weight_sources.RETINA
    keypoints: Positive = 1024
    threshold: float = 0.001
    model: Model = "homography"
    size: Side = 512
    look: Look = "auto"
    precision: Precision = "auto"
    accept_license: bool = False

    def __post_init__(self) -> None:
        sources = [weight_sources.describe(kind, where) for kind, where in self._networks()]
        for source in sources:
            ask_licence(self.name, source.licence, self.accept_license)
        self._normalised = sources[0].ours if self.look == "auto" else self.look == "normalised"
        self.info = MethodInfo(
            name=self.name,
            summary=self.summary,
            family=self.model,
            paper=self.paper,
            weights_licence=" AND ".join(dict.fromkeys(s.licence for s in sources)),
            trained_on=tuple(dict.fromkeys(n for s in sources for n in s.trained_on)),
            training_images=tuple(dict.fromkeys(n for s in sources for n in s.training_images)),
            weights=" ".join(s.revision for s in sources),
            estimator=estimator_name(self.model),
            uses_cuda=True,
        )

    def _networks(self) -> list[tuple[weight_sources.Network, str]]:
        """The networks the method uses, and where the weights of each come from."""
        return [(weight_sources.SUPERPOINT, self.weights)]

    def prepare(self, device: str) -> None:
        """Load the weights."""
        from imedbench.methods.networks.checkpoints import superpoint_state
        from imedbench.methods.networks.superpoint import SuperPoint

        self._device = device
        self._dtype = arithmetic(self.precision, device)
        state = superpoint_state(
            weight_sources.read(weight_sources.SUPERPOINT, self.weights).tensors
        )
        self._network = SuperPoint(descriptor_length(state))
        weight_sources.fill(self._network, state, self.weights)
        self._network.to(device).eval()

    def register(self, fixed: Image, moving: Image) -> Registration:
        """Find keypoints, match them and fit a transform to the matches."""
        import torch

        with torch.inference_mode(), self._autocast():
            with stage("keypoints"):
                moving_found, fixed_found = self._find(moving, fixed)
            with stage("matching"):
                mine, theirs = self._match(moving_found, fixed_found).cpu().numpy().T
        counts = {
            "n_keypoints_moving": int(moving_found.keypoints.valid.sum()),
            "n_keypoints_fixed": int(fixed_found.keypoints.valid.sum()),
        }
        with stage("estimate"):
            return registration_from_matches(
                moving_found.native[mine],
                fixed_found.native[theirs],
                self.model,
                {**counts},
            )

    @abstractmethod
    def _match(self, moving: FoundPoints, fixed: FoundPoints) -> "Tensor":
        """Match them: K×2 indices of a moving and of its fixed keypoint."""

    def _find(self, *images: Image) -> list[FoundPoints]:
        """Keypoints of each image; images shown at one size go through the network together."""
        import torch

        from imedbench.methods.networks.keypoints import Detection

        detection = Detection(max_keypoints=self.keypoints, threshold=self.threshold)
        views = [shown(image, self.size, self._normalised) for image in images]
        together = len({plane.shape for plane, _ in views}) == 1
        found: list[Keypoints] = []
        for batch in [views] if together else [[view] for view in views]:
            planes = torch.from_numpy(np.stack([plane for plane, _ in batch]))[:, None]
            masks = torch.from_numpy(np.stack([fov for _, fov in batch]))
            keypoints = self._network.detect(
                planes.to(self._device), detection, masks.to(self._device)
            )
            found += [keypoints[i : i + 1] for i in range(len(batch))]
        return [
            _as_found(keypoints, plane.shape, image.size)
            for keypoints, (plane, _), image in zip(found, views, images, strict=True)
        ]

    def _autocast(self) -> Any:
        import torch

        return torch.autocast(
            torch.device(self._device).type, self._dtype, enabled=self._dtype is not None
        )


def _as_found(
    keypoints: "Keypoints", shape: tuple[int, ...], native_size: tuple[int, int]
) -> FoundPoints:
    size = (shape[1], shape[0])
    points = keypoints.points[0].double().cpu().numpy()
    return FoundPoints(keypoints, size, resize_points(points, size, native_size))


def shown(
    image: Image, size: int, normalised: bool
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return an image as the network sees it.

    Args:
        image: to be shown.
        size: longer side, px; 0 for as it is.
        normalised: with even light and bright vessels rather than the plain green channel.

    Returns:
        float32 H×W in [0, 1], and the field of view, bool H×W.
    """
    from imedbench.core.field_of_view import field_of_view
    from imedbench.core.polarity import normalise
    from imedbench.core.resize import resize, resize_mask

    grey, fov = image.grey(), field_of_view(image.pixels)
    scale = size / max(grey.shape) if size else 1.0
    if scale != 1.0:
        wanted = (round(grey.shape[1] * scale), round(grey.shape[0] * scale))
        grey, fov = resize(grey, wanted, enlarge="cubic"), resize_mask(fov, wanted)
    if normalised:
        return normalise(grey, fov), fov
    return grey.astype(np.float32) / np.float32(255), fov


def descriptor_length(state: "Mapping[str, Tensor]") -> int:
    """Say how long the descriptors are that SuperPoint weights give; the paper's 256 if unclear."""
    bias = state.get("descriptor.conv_b.bias")
    return 256 if bias is None else len(bias)


def arithmetic(precision: Precision, device: str) -> "torch.dtype | None":
    """Half-precision type to compute in, None for float32.

    Args:
        precision: what was asked for.
        device: ``cpu`` or ``cuda``.
    """
    import torch

    if precision == "auto":
        if device.startswith("cuda"):
            return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
        return torch.bfloat16 if _has_matrix_unit() else None
    chosen: torch.dtype = getattr(torch, precision)
    return None if chosen == torch.float32 else chosen


def _has_matrix_unit() -> bool:
    """Whether the CPU multiplies bfloat16 matrices faster than float32 ones."""
    import torch

    capabilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("amx_bf16", False))
