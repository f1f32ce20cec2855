"""The classical matchers of OpenCV: keypoints, ratio test, robust estimate."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

from imedbench.core.arrays import Points
from imedbench.core.options import Natural, Share
from imedbench.core.registry import METHODS
from imedbench.core.stages import stage
from imedbench.core.types import Image, MethodInfo, Registration
from imedbench.methods.estimators import Model, estimator_name, registration_from_matches


class OpenCvMatcher(ABC):
    """Keypoints and descriptors of OpenCV, matched by the ratio test (Lowe 2004).

    Args:
        ratio: a match counts if it is this much closer than the second best, in (0, 1].
        model: transform that the robust estimator fits.
        keypoints: the strongest so many of an image; 0 for all (an OCTA scan's speckle has tens of
            thousands).
    """

    name: ClassVar[str]
    paper: ClassVar[str]
    is_binary: ClassVar[bool] = False  # descriptors compared bit by bit

    def __init__(
        self, *, ratio: Share = 0.8, model: Model = "homography", keypoints: Natural = 4096
    ) -> None:
        self.ratio, self.model, self.keypoints = ratio, model, keypoints
        self.info = MethodInfo(
            name=self.name,
            summary=f"{self.name.upper()} keypoints matched by the ratio test",
            family=model,
            paper=self.paper,
            estimator=estimator_name(model),
        )

    @abstractmethod
    def _build(self, cv2: Any) -> Any:
        """Make the detector."""

    def prepare(self, device: str) -> None:
        """Build the detector."""
        import cv2

        self._detector = self._build(cv2)
        self._matcher = cv2.BFMatcher(cv2.NORM_HAMMING if self.is_binary else cv2.NORM_L2)

    def register(self, fixed: Image, moving: Image) -> Registration:
        """Match the keypoints of both images and fit a transform to the matches."""
        with stage("keypoints"):
            fixed_keypoints, fixed_descriptors = self._detect(fixed)
            keypoints, descriptors = self._detect(moving)
        counts = {"n_keypoints_fixed": len(fixed_keypoints), "n_keypoints_moving": len(keypoints)}
        if min(counts.values()) < 2:
            return Registration.failed("fewer than 2 keypoints in an image")
        with stage("matching"):
            pairs = self._matcher.knnMatch(descriptors, fixed_descriptors, k=2)
            good = [a for a, b in pairs if a.distance < self.ratio * b.distance]
            moving_points = _places([keypoints[m.queryIdx] for m in good])
            fixed_points = _places([fixed_keypoints[m.trainIdx] for m in good])
        with stage("estimate"):
            return registration_from_matches(moving_points, fixed_points, self.model, {**counts})

    def _detect(self, image: Image) -> tuple[Any, Any]:
        return self._detector.detectAndCompute(image.grey(), None)


@METHODS.register("sift")
class Sift(OpenCvMatcher):
    """SIFT (Lowe, IJCV 2004) as OpenCV has it."""

    name = "sift"
    paper = "Lowe, IJCV 60(2), 2004"

    def _build(self, cv2: Any) -> Any:
        return cv2.SIFT_create(nfeatures=self.keypoints)


@METHODS.register("orb")
class Orb(OpenCvMatcher):
    """ORB (Rublee, Rabaud, Konolige and Bradski, ICCV 2011) as OpenCV has it."""

    name = "orb"
    paper = "Rublee, Rabaud, Konolige and Bradski, ICCV 2011"
    is_binary = True

    def _build(self, cv2: Any) -> Any:
        return cv2.ORB_create(nfeatures=self.keypoints or 1 << 20)


@METHODS.register("akaze")
class Akaze(OpenCvMatcher):
    """AKAZE (Alcantarilla, Nuevo and Bartoli, BMVC 2013) as OpenCV has it."""

    name = "akaze"
    paper = "Alcantarilla, Nuevo and Bartoli, BMVC 2013"
    is_binary = True

    def _build(self, cv2: Any) -> Any:
        # OpenCV 5 keeps it among the contributed modules.
        home = cv2 if hasattr(cv2, "AKAZE_create") else cv2.xfeatures2d
        return home.AKAZE_create(max_points=self.keypoints or -1)


def _places(keypoints: list[object]) -> Points:
    return np.array([k.pt for k in keypoints], np.float64).reshape(-1, 2)  # type: ignore[attr-defined]
