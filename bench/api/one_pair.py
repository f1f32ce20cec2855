"""One pair under one method."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from imedbench.core.arrays import Pixels
from imedbench.core.errors import BadInput
from imedbench.core.types import Image, Method, MethodInfo, Outcome, Registration

if TYPE_CHECKING:
    from imedbench.core.transforms import Transform
    from imedbench.runs.calls import CallResult

ImageLike = Pixels | str | Path | Image
MethodLike = str | Method | Callable[..., Registration]
_SHOWN_PX = 480  # longest side of the picture in a notebook


@dataclass(frozen=True, eq=False)
class Alignment:
    """What a method made of one pair.

    Args:
        fixed: the image whose frame is kept.
        moving: the image that was aligned.
        outcome: ``ok``, or what became of it: ``no_transform``, ``degenerate``, ``crash`` …
        transform: fixed_from_moving, maps (x, y) px of the moving image; None where none is usable.
        reason: why there is none, empty where there is one.
        confidence: the method's own, in [0, 1]; None where it has none.
        latency_ms: of the call; None of one that was ended.
        traceback: of a crash; empty where nothing was raised.
        refused: a transform that cannot be right, where the outcome is ``degenerate``.
    """

    fixed: Image
    moving: Image
    outcome: Outcome
    transform: Transform | None
    reason: str
    confidence: float | None
    latency_ms: float | None
    traceback: str = ""
    refused: Transform | None = None

    def warped(self) -> Pixels:
        """Draw the moving image on the fixed image's grid, uint8 of the fixed image's size.

        Raises:
            BadInput: when there is no transform.
        """
        from imedbench.core.transforms import warp_image

        return warp_image(self.moving.pixels, self._usable().inverse(), self.fixed.shape)

    def overlay(self) -> Pixels:
        """Draw the vessels of both, H×W×3 RGB: magenta fixed, green moving, white where they agree.

        Raises:
            BadInput: when there is no transform.
        """
        from imedbench.reports.pictures import overlay

        return overlay(self.fixed, self.moving, self._usable())

    def _usable(self) -> Transform:
        if self.transform is None:
            raise BadInput(f"there is no transform to warp by: {self.reason}")
        return self.transform

    def __bool__(self) -> bool:
        return self.transform is not None

    def __repr__(self) -> str:
        sure = "" if self.confidence is None else f", confidence {self.confidence:.2f}"
        what = repr(self.transform) if self.transform is not None else self.reason
        took = "" if self.latency_ms is None else f", {self.latency_ms:.0f} ms"
        return f"<Alignment {self.outcome}: {what}{sure}{took}>"

    def _repr_html_(self) -> str:
        text = f"<pre>{escape(repr(self))}\n{escape(self.traceback)}</pre>"
        if self.transform is None:
            return text
        from imedbench.core.resize import fitted_size, resize
        from imedbench.runs.output import encode_picture

        picture = self.overlay()
        width, height = picture.shape[1], picture.shape[0]
        if max(width, height) > _SHOWN_PX:
            picture = resize(picture, fitted_size((width, height), _SHOWN_PX))
        data = b64encode(encode_picture(Path("overlay.png"), picture)).decode()
        return f'{text}<img alt="vessels of both" src="data:image/png;base64,{data}">'


def register(
    fixed: ImageLike,
    moving: ImageLike,
    method: MethodLike = "imed",
    *,
    device: str = "cpu",
    timeout_s: float | None = None,
    plugins: Sequence[str | Path] = (),
) -> Alignment:
    """Align one image to another.

    Args:
        fixed: image whose frame is kept: uint8 H×W or H×W×3 RGB, or the path of a file.
        moving: image to align to it.
        method: name with its options (``"sift:ratio=0.7"``), a method object, or a function of two
            images that returns a `Registration`.
        device: ``cpu`` or ``cuda``.
        timeout_s: longest time the call may take; the method then works in a process of its own,
            whose end is an outcome like any other. If left out, it works in this process.
        plugins: files with further methods.

    Returns:
        The transform, or why there is none.

    Raises:
        BadInput: for an unknown method or option, or an image that cannot be read.
        Declined: when the method cannot run here; the message says what it needs.

    Example:
        >>> import numpy as np
        >>> square = np.zeros((64, 64), np.uint8)
        >>> register(square, square, "identity").transform.apply([[1, 2]])
        array([[1., 2.]])
    """
    from imedbench.api.many_pairs import loaded
    from imedbench.runs.calls import TRACEBACK, Task, call_method

    images = _image(fixed), _image(moving)
    files = loaded(plugins)
    if timeout_s is None:
        made = _method(method)
        made.prepare(device)
        result = call_method(made, Task(*images, seed=0))
    else:
        result = _in_own_process(*images, method, device, timeout_s, files)
    is_usable = result.outcome is Outcome.OK
    return Alignment(
        *images,
        outcome=result.outcome,
        transform=result.transform if is_usable else None,
        reason=result.reason,
        confidence=result.confidence,
        latency_ms=result.latency_ms,
        traceback=str(result.details.get(TRACEBACK, "")),
        refused=None if is_usable else result.transform,
    )


def _in_own_process(
    fixed: Image,
    moving: Image,
    method: MethodLike,
    device: str,
    timeout_s: float,
    plugins: Sequence[Path],
) -> CallResult:
    from imedbench.runs.handed_over import hand_over
    from imedbench.runs.services import WorkerSettings
    from imedbench.runs.single import register_pair

    with TemporaryDirectory() as folder:
        spec, kept = hand_over(method, Path(folder))
        files = [*plugins, kept] if kept else plugins
        settings = WorkerSettings(spec, files, device, warm_up=False)
        return register_pair(fixed, moving, settings, timeout_s)


def _image(image: ImageLike) -> Image:
    from imedbench.core.images import read_image

    if isinstance(image, Image):
        return image
    return read_image(Path(image)) if isinstance(image, str | Path) else Image(image)


def _method(method: MethodLike) -> Method:
    from imedbench.core.methods import FunctionMethod
    from imedbench.core.registry import METHODS

    if isinstance(method, str | Method):
        return METHODS.create(method) if isinstance(method, str) else method
    info = MethodInfo(getattr(method, "__name__", "function"), "the caller's own", "unknown")
    return FunctionMethod(info, method)
