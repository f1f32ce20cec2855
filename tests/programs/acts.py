"""A program that does what it is told; it knows nothing of imedbench."""

import os
import time

import numpy as np

SHIFT = [[1.0, 0.0, 2.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]


def prepare(device, act, also):
    print("prepared on", device)
    if act == "decline":
        return "it has no licence here"
    return None


def register(fixed, moving, act, also, facts):
    print("a word on stdout harms nobody")
    if act in ACTS:
        return ACTS[act](fixed, moving, facts, also)
    return {"answer": act}


def shift(fixed, moving, facts, also):
    return SHIFT


def whole(fixed, moving, facts, also):
    return {
        "moving_from_fixed": np.linalg.inv(SHIFT),
        "confidence": 0.75,
        "stages": {"search": 12.5, "refine": 2},
        "values": {"seed": facts["seed"], "modality": facts["fixed"]["modality"]},
        "matches_moving": np.zeros((3, 2)),
        "matches_fixed": np.ones((3, 2)),
        "matches_inliers": np.array([True, False, True]),
        "picture_map": np.zeros((4, 5), np.uint8),
    }


def match(fixed, moving, facts, also):
    points = np.random.rand(20, 2) * 20
    return {
        "matches_moving": points,
        "matches_fixed": points + np.array([2.0, 0.0]),
        "values": {"seen": 1},
    }


def dense(fixed, moving, facts, also):
    return np.dstack([np.full(moving.shape[:2], 2.0), np.zeros(moving.shape[:2])])


def dense_back(fixed, moving, facts, also):
    field = np.dstack([np.full(fixed.shape[:2], -2.0), np.zeros(fixed.shape[:2])])
    return {"moving_from_fixed": field}


def draw(fixed, moving, facts, also):
    return [[1, 0, np.random.rand()], [0, 1, 0], [0, 0, 1]]


def refuse(fixed, moving, facts, also):
    return "nothing to be seen"


def fail(fixed, moving, facts, also):
    raise ValueError("a bug\nin two lines")


def lack(fixed, moving, facts, also):
    raise MemoryError("too many pixels")


def end(fixed, moving, facts, also):
    print("last words")
    os._exit(3)


def hang(fixed, moving, facts, also):
    os.fork()
    time.sleep(600)


def eat(fixed, moving, facts, also):
    held = [np.ones(1 << 22) for _ in range(also)]
    time.sleep(600)
    return held


ACTS = {
    f.__name__: f
    for f in (shift, whole, match, dense, dense_back, draw, refuse, fail, lack, end, hang, eat)
}
