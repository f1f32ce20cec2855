"""SIFT keypoints, ratio test, robust estimate: the classical matcher."""

from __future__ import annotations

import numpy as np

from imedbench.core.arrays import Points
from imedbench.core.options import Natural, Share
from imedbench.core.registry import METHODS
from imedbench.core.stages import stage
from imedbench.core.types import Image, MethodInfo, Registration
from imedbench.methods.estimators import Model, estimator_name, registration_from_matches


@METHODS.register("sift")
class Sift:
    """SIFT (Lowe, IJCV 2004) as OpenCV has it.

    Args:
        ratio: a match counts if it is this much closer than the second best, in (0, 1].
        model: transform that the robust estimator fits.
        keypoints: the strongest so many of an image; 0 for all (an OCTA scan's speckle has tens of
            thousands).
    """

    def __init__(
        self, *, ratio: Share = 0.8, model: Model = "homography", keypoints: Natural = 4096
    ) -> None:
        self.ratio, self.model, self.keypoints = ratio, model, keypoints
        self.info = MethodInfo(
            name="sift",
            summary="SIFT keypoints matched by the ratio test",
            family=model,
            paper="Lowe, IJCV 60(2), 2004",
            estimator=estimator_name(model),
        )

    def prepare(self, device: str) -> None:
        """Build the detector."""
        import cv2

        self._detector = cv2.SIFT_create(nfeatures=self.keypoints)
        self._matcher = cv2.BFMatcher(cv2.NORM_L2)

    def register(self, fixed: Image, moving: Image) -> Registration:
        """Match the keypoints of both images and fit a transform to the matches."""
        with stage("keypoints"):
            fixed_keypoints, fixed_descriptors = self._detector.detectAndCompute(fixed.grey(), None)
            keypoints, descriptors = self._detector.detectAndCompute(moving.grey(), None)
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


def _places(keypoints: list[object]) -> Points:
    return np.array([k.pt for k in keypoints], np.float64).reshape(-1, 2)  # type: ignore[attr-defined]
