"""Bad input of every kind ends with one line that names it, the right code, and nothing written."""

from __future__ import annotations

import hashlib
import io
import json
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from imedbench.core.datasets import open_dataset
from imedbench.core.images import write_image
from imedbench.runs.config import RunConfig
from imedbench.runs.runner import run
from imedbench.runs.store import Store

Cli = Callable[..., Any]
PICTURE = np.tile(np.arange(64, dtype=np.uint8) * 3, (64, 1))
MARKS = "moving_x,moving_y,fixed_x,fixed_y\n8,9,10,9\n40,30,42,30\n20,50,22,50\n"


@dataclass(frozen=True)
class Case:
    """One bad input.

    Args:
        name: of the case.
        words: of the command; ``{}`` stands for the folder.
        says: what the line must hold.
        files: content by path below the folder, written over a good data set.
    """

    name: str
    words: str
    says: str = ""
    files: dict[str, bytes | str | None] = field(default_factory=dict)
    code: int = 2


def safetensors(tensors: dict[str, np.ndarray]) -> bytes:
    from safetensors.numpy import save

    return save(tensors)


def pickled(value: Any) -> bytes:
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


def png(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()


def tiff(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".tiff", pixels)[1].tobytes()


RUN = "run --split multi-modal --metrics tre_mean --methods identity --out {}/out"
ON_DATA = f"{RUN} --data {{}}/data"
CHECK = "data check {}/data"


def options() -> Iterator[Case]:
    """What is typed."""
    synthetic = f"{RUN} --data synthetic:pairs=1:size=64"
    for text in [
        "--timeout inf",
        "--timeout nan",
        "--timeout -1",
        "--timeout 1e12",
        "--timeout x",
        "--threads 0",
        "--threads 99999999999",
        "--threads -3",
        "--threads 1.5",
        "--workers 0",
        "--workers 9999999",
        "--workers two",
        "--limit 0",
        "--limit -1",
        "--limit x",
        "--seed x",
        "--seed 1.5",
        "--device tpu",
        "--device cuda:x",
        "--device",
        "--memory 0",
        "--memory nan",
        "--memory inf",
        "--memory x",
        "--retry slow",
        "--retry timeout,slow",
        "--split mono",
        "--split both,",
        "--subset none",
        "--nonsense",
        "--metrics none",
        "--metrics ,",
        "--metrics tre_mean,tre_mean",
        "--methods ,",
        "--methods sfit",
        "--methods sift,sift",
        "--methods sift:ratio=x",
        "--methods sift:ratio=nan",
        "--methods sift:ratio=-5",
        "--methods sift:ratio=0",
        "--methods sift:ratio=1.5",
        "--methods sift:keypoints=-4",
        "--methods sift:model=cube",
        "--methods sift:ratio=0.7:ratio=0.8",
        "--methods sift:nota=1",
        "--methods :",
        "--methods =",
        "--methods sift:",
        "--methods +sift",
        "--methods vessel+",
        "--methods vessel+nothing",
        "--methods nothing+sift",
        "--methods imed:size=0",
        "--methods imed:size=-8",
        "--methods imed:candidates=0",
        "--methods imed:candidates=-1",
        "--methods superpoint-mnn:keypoints=0",
        "--methods superpoint-mnn:threshold=nan",
        "--methods superpoint-mnn:size=0",
        "--methods arbicon:passes=-1",
        "--methods imed-joint:passes=-1",
        "--methods imed-joint:transfer_size=0",
        "--methods identity:x=1",
        "--methods imed:selfcheck=maybe",
        "--data nothing",
        "--data ",
        "--data :",
        "--data imed",
        "--data imed:root=nowhere",
        "--data manifest:root=nowhere",
        "--data synthetic:pairs=0",
        "--data synthetic:pairs=-1",
        "--data synthetic:size=1",
        "--data synthetic:size=999999999",
        "--data synthetic:seed=-1",
        "--data synthetic:level=soft",
        "--data synthetic:stress=x",
        "--data synthetic:stress=blur:x",
        "--data synthetic:stress=rotation:nan",
        "--data synthetic:stress=overlap:7",
        "--data nowhere/pairs.csv",
        "--plugin nowhere.py",
        "--plugin {}/data",
        "--plugin {}/data/pairs.csv",
    ]:
        yield Case(f"run {text}", f"{synthetic} {text}")
    long = "x" * 300
    yield Case("a long name for the folder", f"{synthetic} --out {{}}/{long}")
    yield Case("a long method", f"{synthetic} --methods {long}")
    yield Case("a long data set", f"{RUN} --data {long}")
    yield Case("a file for a folder", f"{synthetic} --out {{}}/data/pairs.csv")
    yield Case("below a file", f"{synthetic} --out {{}}/data/pairs.csv/run")
    for text in [
        "score {}/nowhere",
        "score {}/data",
        "score {}/data/pairs.csv",
        "score",
        "report {}/nowhere",
        "report {}/data",
        "verify {}/nowhere",
        "verify {}/data",
        "verify {}/run --sample 0",
        "verify {}/run --repeat 0",
        "verify {}/run --tolerance -1",
        "verify {}/run --data {}/nowhere",
        "compare {}/run",
        "compare {}/run {}/nowhere",
        "compare {}/run@sift {}/run",
        "compare {}/run {}/run@",
        "compare {}/run {}/run --metrics none",
        "compare {}/run {}/run --fail-if x",
        "compare {}/run {}/run --fail-if tre_mean>x",
        "compare {}/run {}/run --fail-if tre_mean>+nan%",
        "score {}/run --metrics none",
        "score {}/run --data {}/nowhere",
        "score {}/run --plugin nowhere.py",
        "list",
        "list things",
        "info",
        "info nothing",
        "info sift --plugin nowhere.py",
        "data",
        "data check",
        "data check nothing",
        "data check {}/nowhere",
        "data show {}/nowhere",
        "data nothing",
        "nothing",
        "sweep",
        "sweep weight",
        "sweep blur --values x",
        "sweep blur --values 1,,2",
        "sweep blur --values nan",
        "sweep blur --pairs 0",
        "sweep blur --level soft",
        "latency --methods sfit",
        "latency --data nothing",
        "latency --repeats 0",
        "latency --threads 0",
        "latency --size 1",
        "latency --precision fp8",
        "register",
        "register {}/data/0-fixed.png",
        "register {}/nowhere.png {}/data/0-moving.png",
        "register {}/data {}/data",
        "train",
        "train nothing",
        "train joint",
        "train joint --data {}/nowhere",
        "train segmentation --data {}/data --out {}/out",
        "data make-synthetic",
        "data make-synthetic {}/out --pairs 0",
        "data make-synthetic {}/out --size 1",
    ]:
        yield Case(text, text)
    register = "register {}/data/0-fixed.png {}/data/0-moving.png --out {}/out"
    for text in [
        "--method sfit",
        "--method sift:ratio=x",
        "--timeout 0",
        "--timeout nan",
        "--timeout inf",
        "--device tpu",
        "--plugin nowhere.py",
        "--out {}/data/0-fixed.png",
        "--method ",
        "--method hostile",
    ]:
        yield Case(f"register {text}", f"{register} {text}")


def manifests() -> Iterator[Case]:
    """What a pairs.csv may hold."""
    head = "pair_id,fixed,moving,landmarks,fixed_modality,moving_modality,group\n"
    row = "p0,0-fixed.png,0-moving.png,0.csv,cf,octa,e\n"
    texts: dict[str, bytes | str] = {
        "empty": "",
        "only a header": head,
        "no columns": "a,b,c\n1,2,3\n",
        "a column missing": "pair_id,fixed\np,0-fixed.png\n",
        "a column twice": "pair_id,fixed,moving,moving\np,a,b,c\n",
        "an unknown column": "pair_id,fixed,moving,colour\np,0-fixed.png,0-moving.png,red\n",
        "too few cells": head + "p0,0-fixed.png\n",
        "too many cells": head + row.strip() + ",x,y\n",
        "an id twice": head + row + row,
        "no id": head + row.replace("p0", ""),
        "no fixed": head + row.replace("0-fixed.png", ""),
        "no such fixed": head + row.replace("0-fixed.png", "gone.png"),
        "no such moving": head + row.replace("0-moving.png", "gone.png"),
        "no such landmarks": head + row.replace("0.csv", "gone.csv"),
        "a folder for an image": head + row.replace("0-fixed.png", "."),
        "another subset": "pair_id,fixed,moving,subset\np,0-fixed.png,0-moving.png,some\n",
        "nul in an id": head + row.replace("p0", "p\0"),
        "a line break in an id": head + row.replace("p0", '"p\n0"'),
        "nul in a path": head + row.replace("0-moving", "0\0moving"),
        "spacing no number": "pair_id,fixed,moving,spacing_um\np,0-fixed.png,0-moving.png,x\n",
        "spacing zero": "pair_id,fixed,moving,spacing_um\np,0-fixed.png,0-moving.png,0\n",
        "spacing negative": "pair_id,fixed,moving,spacing_um\np,0-fixed.png,0-moving.png,-1\n",
        "spacing nan": "pair_id,fixed,moving,spacing_um\np,0-fixed.png,0-moving.png,nan\n",
        "spacing infinite": "pair_id,fixed,moving,spacing_um\np,0-fixed.png,0-moving.png,inf\n",
        "latin-1": (head + row).replace("p0", "pä").encode("latin-1"),
        "utf-16": (head + row).encode("utf-16"),
        "zeros": bytes(300),
        "a picture": png(PICTURE),
        "a long cell": head + "x" * 200_000 + ",0-fixed.png,0-moving.png,,,,\n",
        "a quote left open": head + '"' + row,
        "a semicolon file": (head + row).replace(",", ";"),
        "no such mask": "pair_id,fixed,moving,fixed_vessels\np,0-fixed.png,0-moving.png,gone.png\n",
        "a mask of another size": (
            "pair_id,fixed,moving,fixed_vessels\np,0-fixed.png,0-moving.png,small.png\n"
        ),
        "a mask of grey": (
            "pair_id,fixed,moving,fixed_vessels\np,0-fixed.png,0-moving.png,faint.png\n"
        ),
        "a mask that is none": (
            "pair_id,fixed,moving,moving_vessels\np,0-fixed.png,0-moving.png,0.csv\n"
        ),
        "a fake of another size": (
            "pair_id,fixed,moving,fake_octa\np,0-fixed.png,0-moving.png,small.png\n"
        ),
    }
    more: dict[str, bytes | str | None] = {
        "data/small.png": png(PICTURE[:30]),
        "data/faint.png": png((PICTURE > 50).astype(np.uint8)),
    }
    for name, text in texts.items():
        yield Case(f"manifest: {name}", CHECK, files={**more, "data/pairs.csv": text})
    yield Case("no manifest", CHECK, files={"data/pairs.csv": None})


def images() -> Iterator[Case]:
    """What a picture may be."""
    whole = png(PICTURE)
    contents: dict[str, bytes] = {
        "empty": b"",
        "text": b"no picture at all",
        "cut in half": whole[: len(whole) // 2],
        "cut at its header": whole[:20],
        "with a broken middle": whole[:80] + bytes(60) + whole[140:],
        "with a broken header": whole[:12] + bytes(12) + whole[24:],
        "half a tiff": tiff(PICTURE)[:200],
        "half a jpeg": cv2.imencode(".jpg", PICTURE)[1].tobytes()[:100],
        "one pixel": png(PICTURE[:1, :1]),
        "one row": png(PICTURE[:1]),
        "one column": png(PICTURE[:, :1]),
        "huge by its header": _huge(),
        "zeros": bytes(1000),
        "zip": b"PK\x03\x04" + bytes(500),
        "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    }
    for name, content in contents.items():
        yield Case(f"image: {name}", CHECK, "0-fixed.png", {"data/0-fixed.png": content})
        yield Case(
            f"register: {name}",
            "register {}/data/0-fixed.png {}/data/0-moving.png --method identity --out {}/out",
            "0-fixed.png",
            {"data/0-fixed.png": content},
        )


def _huge() -> bytes:
    """A PNG whose header says 60,000 × 60,000 px."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def landmarks() -> Iterator[Case]:
    """What a landmark file may hold."""
    head = "moving_x,moving_y,fixed_x,fixed_y\n"
    texts: dict[str, str | bytes] = {
        "empty": "",
        "only a header": head,
        "no header": "1,2,3,4\n",
        "three columns": "moving_x,moving_y,fixed_x\n1,2,3\n",
        "three numbers": head + "1,2,3\n",
        "five numbers": head + "1,2,3,4,5\n",
        "a word": head + "1,2,3,four\n",
        "a blank": head + "1,,3,4\n",
        "nan": head + "1,2,nan,4\n",
        "infinite": head + "1,2,inf,4\n",
        "far outside": head + "1,2,1e300,4\n",
        "outside": head + "1,2,3,200\n",
        "negative": head + "-30,2,3,4\n",
        "utf-16": (head + "1,2,3,4\n").encode("utf-16"),
        "zeros": bytes(90),
        "a picture": png(PICTURE),
    }
    for name, text in texts.items():
        says = "" if name in ("far outside", "outside", "negative") else "0.csv"
        yield Case(f"landmarks: {name}", CHECK, says, {"data/0.csv": text})


IMED = {
    "imed/CF_ts/1Fundus.png": png(np.dstack([PICTURE] * 3)),
    "imed/OCTA_ts/1OCTA.png": png(PICTURE),
    "imed/GT_OCTA_to_CF/1_OCTA_to_CF_affine.txt": "1 0 0\n0 1 0\n",
    "imed/Ground_Truth_Ts/1Fundus_OCTA_points.txt": "1 2 3 4\n50 60 50 60\n9 9 80 80\n",
}


def collections() -> Iterator[Case]:
    """What the folders of known collections may hold."""
    changes: dict[str, dict[str, bytes | str | None]] = {
        "no partner": {"imed/OCTA_ts/1OCTA.png": None},
        "no number": {"imed/CF_ts/oneFundus.png": png(PICTURE)},
        "in both subsets": {
            "imed/CF_train/1Fundus.png": png(PICTURE),
            "imed/OCTA_train/1OCTA.png": png(PICTURE),
        },
        "an image that is none": {"imed/CF_ts/1Fundus.png": "text"},
        "a matrix of words": {"imed/GT_OCTA_to_CF/1_OCTA_to_CF_affine.txt": "a b c\nd e f\n"},
        "a short matrix": {"imed/GT_OCTA_to_CF/1_OCTA_to_CF_affine.txt": "1 0 0\n"},
        "a narrow matrix": {"imed/GT_OCTA_to_CF/1_OCTA_to_CF_affine.txt": "1 0\n0 1\n"},
        "a nan matrix": {"imed/GT_OCTA_to_CF/1_OCTA_to_CF_affine.txt": "nan 0 0\n0 1 0\n"},
        "a zero matrix": {
            "imed/GT_OCTA_to_CF/1_OCTA_to_CF_affine.txt": "0 0 0\n0 0 0\n",
            "imed/Ground_Truth_Ts/1Fundus_OCTA_points.txt": None,
        },
        "a singular matrix": {
            "imed/GT_OCTA_to_CF/1_OCTA_to_CF_affine.txt": None,
            "imed/GT_CF_to_OCTA/1_CF_to_OCTA_affine.txt": "1 1 0\n1 1 0\n",
            "imed/Ground_Truth_Ts/1Fundus_OCTA_points.txt": None,
        },
        "points of words": {"imed/Ground_Truth_Ts/1Fundus_OCTA_points.txt": "a b c d\n1 2 3 4\n"},
        "one point": {"imed/Ground_Truth_Ts/1Fundus_OCTA_points.txt": "1 2 3 4\n"},
        "infinite points": {"imed/Ground_Truth_Ts/1Fundus_OCTA_points.txt": "1 2 3 inf\n1 2 3 4\n"},
        "points far outside": {
            "imed/Ground_Truth_Ts/1Fundus_OCTA_points.txt": "1 2 3 1e300\n1 2 3 4\n"
        },
        "no images": {"imed/CF_ts/1Fundus.png": None, "imed/OCTA_ts/1OCTA.png": None},
    }
    for name, files in changes.items():
        yield Case(f"imed: {name}", "data check {}/imed", files={**IMED, **files})
    for name in ("fire", "drive", "chasedb1", "octa500", "pf-pascal"):
        yield Case(f"{name}: an empty folder", f"data check {name}:root={{}}/data")
        yield Case(f"{name}: no folder", f"data check {name}:root={{}}/nowhere")
    fire = {
        "fire/Images/S01_1.jpg": cv2.imencode(".jpg", PICTURE)[1].tobytes(),
        "fire/Images/S01_2.jpg": cv2.imencode(".jpg", PICTURE)[1].tobytes(),
        "fire/Ground Truth/control_points_S01_1_2.txt": "1 2 3 4\n5 6 7 8\n",
    }
    fire_changes: dict[str, dict[str, bytes | str | None]] = {
        "words": {"fire/Ground Truth/control_points_S01_1_2.txt": "a b c d\n"},
        "three numbers": {"fire/Ground Truth/control_points_S01_1_2.txt": "1 2 3\n"},
        "no points": {"fire/Ground Truth/control_points_S01_1_2.txt": ""},
        "no image": {"fire/Images/S01_2.jpg": None},
        "another name": {"fire/Ground Truth/control_points_X.txt": "1 2 3 4\n"},
    }
    for name, files in fire_changes.items():
        yield Case(f"fire: {name}", "data check {}/fire", files={**fire, **files})


def run_files() -> Iterator[Case]:
    """What a run folder may hold."""
    good = {
        "config": {
            "data": "{}/data",
            "data_version": "1",
            "seed": 0,
            "device": "cpu",
            "threads": 1,
            "timeout_s": 60.0,
        },
        "plugins": [],
        "provenance": {},
    }
    texts: dict[str, bytes | str] = {
        "empty": "",
        "text": "hello",
        "null": "null",
        "a list": "[]",
        "a number": "5",
        "an empty object": "{}",
        "cut in half": json.dumps(good)[:40],
        "utf-16": json.dumps(good).encode("utf-16"),
        "zeros": bytes(100),
        "nested": "[" * 5000,
        "no plugins": json.dumps({**good, "plugins": None}),
        "plugins that are numbers": json.dumps({**good, "plugins": [1]}),
        "plugins that are text": json.dumps({**good, "plugins": "x"}),
        "no provenance": json.dumps({**good, "provenance": 5}),
    }
    for key, wrong in (
        ("data", 5),
        ("data", None),
        ("seed", "0"),
        ("seed", 0.5),
        ("device", 0),
        ("threads", "1"),
        ("threads", None),
        ("timeout_s", "60"),
        ("timeout_s", []),
        ("data_version", 1),
        ("data", "{}/nowhere"),
    ):
        changed = {**good, "config": {**good["config"], key: wrong}}  # type: ignore[dict-item]
        texts[f"{key} = {wrong!r}"] = json.dumps(changed)
    for name, text in texts.items():
        for command in ("score", "report"):
            yield Case(
                f"{command} run.json: {name}", f"{command} {{}}/run", "", {"run/run.json": text}
            )
    databases: dict[str, tuple[bytes | None, int]] = {
        "empty": (b"", 2),
        "gone": (None, 2),
        "text": (b"not a database, but long enough to look like one " * 40, 4),
        "zeros": (bytes(5000), 4),
    }
    for name, (content, code) in databases.items():
        yield Case(
            f"database: {name}",
            "score {}/run",
            "results.sqlite",
            {"run/results.sqlite": content},
            code,
        )
    yield Case(
        "database: another's", "score {}/run", "schema 0", {"run/results.sqlite": _foreign()}
    )
    yield Case("a folder named .lock", ON_DATA, ".lock", {"out/.lock/x": ""})


def _foreign() -> bytes:
    with sqlite3.connect(":memory:") as db:
        db.execute("CREATE TABLE birds (name TEXT)")
        return db.serialize()


def plugins() -> Iterator[Case]:
    """What a plugin may be."""
    head = "from imedbench.core.registry import METHODS, METRICS, DATASETS\n"
    texts = {
        "a syntax error": "def broken(:",
        "an import error": "import no_such_module",
        "raising": "raise RuntimeError('no')",
        "exiting": "import sys\nsys.exit(0)",
        "exiting by itself": "raise SystemExit",
        "taking a name": head + "@METHODS.register('identity')\ndef f(): pass",
        "without info": head + "@METHODS.register('m')\nclass M:\n    pass",
        "with text for info": head + "@METHODS.register('m')\nclass M:\n    info = 'm'",
        "a raising constructor": (
            head + "@METHODS.register('m')\nclass M:\n    def __init__(self): raise KeyError('x')"
        ),
        "an exiting constructor": (
            head + "@METHODS.register('m')\nclass M:\n    def __init__(self): raise SystemExit(0)"
        ),
        "a raising info": (
            head
            + "@METHODS.register('m')\nclass M:\n    @property\n    def info(self): raise OSError"
        ),
        "an annotation that is none": (
            "from __future__ import annotations\n"
            + head
            + "@METHODS.register('m')\nclass M:\n    def __init__(self, *, x: Nothing = 1): pass"
        ),
        "binary": "\0\1\2",
    }
    for name, text in texts.items():
        words = f"{ON_DATA} --plugin {{}}/bad.py --methods m"
        yield Case(f"plugin: {name}", words, files={"bad.py": text})
    needy = head + "@METHODS.register('m')\nclass M:\n    def __init__(self, *, x: int): pass"
    yield Case(
        "plugin: a needed option", f"{ON_DATA} --plugin {{}}/n.py --methods m", "x", {"n.py": needy}
    )


def weights() -> Iterator[Case]:
    """What weights, their cards and the settings of a training may be."""
    for text in [
        "superpoint-mnn:weights=nothing",
        "superpoint-superglue:glue_weights=nothing",
        "transfer+sift:transfer_weights=nothing",
        "superpoint-mnn:weights={}/data",
        "superpoint-mnn:weights={}/data/0.csv",
        "transfer+sift:transfer_weights={}/w/bad",
    ]:
        code = 3 if text.endswith("csv") else 2  # it is found, and then it is no weights
        yield Case(f"weights: {text}", f"{ON_DATA} --methods {text}", code=code)
    cards = {
        "a list": "[]",
        "a number": "1",
        "empty": "",
        "text": "x",
        "no architecture": '{"arguments": {}, "task": "t", "trained_on": []}',
        "trained on a number": '{"architecture": "unet:UNet", "arguments": {}, "task": "t",'
        ' "trained_on": 5}',
        "an architecture that is a list": '{"architecture": [], "arguments": {}, "task": "t",'
        ' "trained_on": []}',
        "no such architecture": '{"architecture": "os:system", "arguments": {}, "task": "t",'
        ' "trained_on": []}',
        "an unknown field": '{"architecture": "unet:UNet", "arguments": {}, "task": "t", "x": 1,'
        ' "trained_on": []}',
        "in latin-1": '{"task": "ä"}'.encode("latin-1"),
    }
    for name, card in cards.items():
        files: dict[str, bytes | str | None] = {"w/bad.json": card, "w/bad.safetensors": b"x"}
        words = f"{ON_DATA} --methods transfer+sift:transfer_weights={{}}/w/bad"
        yield Case(f"card: {name}", words, files=files)
    for kind, value in (("nan", np.nan), ("infinite", np.inf)):
        content = safetensors({"first.weight": np.array([1, value], np.float32)})
        card = {
            "architecture": "cyclegan:Generator",
            "arguments": {"width": 4, "blocks": 1},
            "task": "cyclegan",
            "trained_on": [],
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        files = {"w/bad.safetensors": content, "w/bad.json": json.dumps(card)}
        says = "first.weight holds NaN or infinity"
        words = f"{ON_DATA} --methods"
        transfer = f"{words} transfer+sift:transfer_weights={{}}/w/bad.safetensors"
        yield Case(f"weights: {kind}", transfer, says, files, code=3)
        points = f"{words} superpoint-mnn:weights={{}}/w/bad.safetensors"
        yield Case(f"points: {kind}", points, says, files, code=3)
        lafs = f"{words} aliked-lightglue:weights={{}}/w/bad.pth"
        state = {"first.weight": torch.tensor([1, value])}
        yield Case(f"matcher: {kind}", lafs, says, {"w/bad.pth": pickled(state)}, code=3)
    for name, card_text in {
        "a list": "[1]",
        "a number": "1",
        "wrong types": '{"trained_on": 5}',
    }.items():
        content = safetensors({"first.weight": np.zeros(2, np.float32)})
        files = {"w/bad.safetensors": content, "w/bad.json": card_text}
        words = f"{ON_DATA} --methods superpoint-mnn:weights={{}}/w/bad.safetensors"
        yield Case(f"card beside: {name}", words, "bad.json", files)
    many = "train segmentation --data {}/data --out {}/out --config {}/c.toml"
    yield Case("training: devices", many, "devices = 99", {"c.toml": "devices = 99"})
    gpu = {"c.toml": 'accelerator = "gpu"'}
    if not torch.cuda.is_available():
        yield Case("training: no gpu", many, "finds no GPU here", gpu)
    settings: dict[str, str | bytes] = {
        "no toml": "x =",
        "an unknown setting": "epoch = 1",
        "epochs of text": 'epochs = "many"',
        "negative epochs": "epochs = -1",
        "no epochs": "epochs = 0",
        "no batch": "batch_size = 0",
        "a negative batch": "batch_size = -4",
        "a rate of nan": "learning_rate = nan",
        "an infinite rate": "learning_rate = inf",
        "a negative rate": "learning_rate = -0.1",
        "no rate": "learning_rate = 0.0",
        "no steps": "steps_per_epoch = 0",
        "negative workers": "workers = -1",
        "negative threads": "threads = -1",
        "negative devices": "devices = -1",
        "a negative time": "minutes = -1.0",
        "a time of nan": "minutes = nan",
        "no such accelerator": 'accelerator = "abacus"',
        "no such precision": 'precision = "3-bit"',
        "latin-1": "# ä\nepochs = 1".encode("latin-1"),
        "a table": "[epochs]\nx = 1",
    }
    for name, text in settings.items():
        words = "train segmentation --data {}/data --out {}/out --config {}/c.toml"
        yield Case(f"training: {name}", words, "c.toml", {"c.toml": text})
    folder = "train segmentation --data {}/data --out {}/out --config {}/data"
    yield Case("training: a folder for its settings", folder)


CASES = [
    case
    for kind in (options, manifests, images, landmarks, collections, run_files, plugins, weights)
    for case in kind()
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A good data set of one pair, and a good run of it."""
    data = tmp_path / "data"
    data.mkdir()
    for name in ("0-fixed.png", "0-moving.png"):
        write_image(data / name, PICTURE)
    (data / "0.csv").write_text(MARKS)
    (data / "pairs.csv").write_text(
        "pair_id,fixed,moving,landmarks\np0,0-fixed.png,0-moving.png,0.csv\n"
    )
    return tmp_path


@pytest.fixture(scope="module")
def good_run(tmp_path_factory: pytest.TempPathFactory, write_manifest: Any) -> Path:
    folder = tmp_path_factory.mktemp("good")
    data = str(write_manifest(folder / "data", ["cf"]))
    run(RunConfig(data, ("identity",), folder / "run", ("multi-modal",)), open_dataset(data))
    return folder / "run"


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 250
    assert len({case.name for case in CASES}) == len(CASES)


def _files(folder: Path) -> set[Path]:
    """What lies in a folder, but for what may be written and what Python compiles."""
    return {path for path in folder.rglob("*") if not {"out", "__pycache__"} & set(path.parts)}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input_is_one_line(
    case: Case, folder: Path, good_run: Path, cli: Cli, short_lived_plugins: None
) -> None:
    import shutil

    if "/run" in case.words or any(name.startswith("run/") for name in case.files):
        shutil.copytree(good_run, folder / "run")
    for name, content in case.files.items():
        path = folder / name
        if content is None:
            path.unlink(missing_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            content = content.replace("{}/", f"{folder}/").encode()
        path.write_bytes(content)
    before = _files(folder)
    ended = cli(*[word.replace("{}", str(folder)) for word in case.words.split(" ")])
    told = ended.err or ended.out
    assert ended.code == case.code, told
    assert "Traceback" not in told
    assert "error: unexpected" not in told
    if "data check" in case.words:
        whole = "".join((ended.out + ended.err).split())  # a terminal breaks long lines
        assert case.says in whole
    elif case.code == 3:
        assert told.lower().startswith("incomplete: ")
        assert told.count("\n") == 1, told
    elif told.startswith("error: "):
        assert case.says in told
        assert told.count("\n") == 1, told
    else:
        assert "Usage" in ended.out + ended.err, "a command without anything shows its help"
    after = _files(folder)
    assert {path for path in after - before if not path.name.startswith(Store.FILE)} == set()
