"""The Python side: align a pair, benchmark methods, read what came of it.

Example::

    import imedbench as ib

    found = ib.register("fundus.png", "octa.png", method="imed")
    run = ib.benchmark(["sift", "imed"], data="synthetic", out="runs/x")
    run.summary()
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from imedbench.core.arrays import Pixels
from imedbench.core.errors import BadInput
from imedbench.core.types import SPLITS, Image, Method, MethodInfo, Registration, Split

if TYPE_CHECKING:
    import pandas as pd

    from imedbench.core.transforms import Transform

ImageLike = Pixels | str | Path | Image
MethodLike = str | Method | Callable[[Image, Image], Registration]


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
        latency_ms: of the call.
    """

    fixed: Image
    moving: Image
    outcome: str
    transform: Transform | None
    reason: str
    confidence: float | None
    latency_ms: float

    def warped(self) -> Pixels:
        """Draw the moving image on the fixed image's grid, uint8 of the fixed image's size.

        Raises:
            BadInput: when there is no transform.
        """
        from imedbench.core.transforms import warp_image

        if self.transform is None:
            raise BadInput(f"there is no transform to warp by: {self.reason}")
        return warp_image(self.moving.pixels, self.transform.inverse(), self.fixed.shape)

    def __bool__(self) -> bool:
        return self.transform is not None

    def __repr__(self) -> str:
        sure = "" if self.confidence is None else f", confidence {self.confidence:.2f}"
        what = repr(self.transform) if self.transform is not None else self.reason
        return f"<Alignment {self.outcome}: {what}{sure}, {self.latency_ms:.0f} ms>"


def register(
    fixed: ImageLike,
    moving: ImageLike,
    method: MethodLike = "imed",
    *,
    device: str = "cpu",
) -> Alignment:
    """Align one image to another, in this process.

    Args:
        fixed: image whose frame is kept: uint8 H×W or H×W×3 RGB, or the path of a file.
        moving: image to align to it.
        method: name with its options (``"sift:ratio=0.7"``), a method object, or a function of two
            images that returns a `Registration`.
        device: ``cpu`` or ``cuda``.

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
    from imedbench.runs.calls import Task, call_method

    images = _image(fixed), _image(moving)
    made = _method(method)
    made.prepare(device)
    result = call_method(made, Task(*images, seed=0))
    usable = result.transform if result.outcome == "ok" else None
    spent = result.latency_ms or 0.0
    return Alignment(*images, str(result.outcome), usable, result.reason, result.confidence, spent)


class Results:
    """The rows of a run folder, as tables.

    Args:
        folder: of a run.
        data: where the data set is now, if it moved.

    Raises:
        BadInput: when the folder holds no run.
    """

    def __init__(self, folder: str | Path, data: str | None = None) -> None:
        from imedbench.analysis.run import open_run

        self.folder = Path(folder)
        self._run = open_run(self.folder, data)

    def frame(self) -> pd.DataFrame:
        """Return one row for each method, split and pair, with its scores."""
        return self._run.table()

    def summary(self) -> pd.DataFrame:
        """Return one row a method and split: failures, means with 95 % intervals, latency."""
        import pandas as pd

        from imedbench.analysis.tables import summarise

        return pd.DataFrame([row.as_dict() for row in summarise(self.frame())])

    def compare(
        self, base: str, new: str, metrics: Sequence[str] = ("failures", "tre_mean", "mse")
    ) -> pd.DataFrame:
        """Compare two methods pair by pair.

        Args:
            base: name of the one method, as in the run.
            new: name of the other.
            metrics: to compare; ``failures`` counts failed pairs.

        Returns:
            One row a split and metric: means, paired difference with its interval, corrected p.

        Raises:
            BadInput: when the run has no such method.
            IncompleteRun: when a pair has no answer.
        """
        import pandas as pd

        from imedbench.analysis.comparison import RunSelector, compare_runs

        known = set(self.frame().columns) | {"failures"}
        chosen = [metric for metric in metrics if metric in known]
        before, after = (RunSelector(self.folder, name) for name in (base, new))
        rows = [asdict(row) for row in compare_runs(before, after, chosen)]
        return pd.json_normalize(rows, sep="_")

    def report(self, kind: Literal["md", "html"] = "html", out: str | Path | None = None) -> Path:
        """Write a page about the run and return its path; by default into the run's folder."""
        from imedbench.core.progress import NullProgress
        from imedbench.reports.page import write_page
        from imedbench.reports.report import write_report

        draw = write_page if kind == "html" else write_report
        return draw(self._run, Path(out or self.folder), NullProgress())

    def __repr__(self) -> str:
        frame = self.frame()
        methods = ", ".join(frame["method"].unique())
        return f"<Results {self.folder}: {methods} on {frame['pair_id'].nunique()} pairs>"

    def _repr_html_(self) -> str:
        return str(self.summary().to_html(index=False))


def benchmark(
    methods: Sequence[str],
    data: str = "synthetic",
    out: str | Path | None = None,
    *,
    splits: Sequence[Split] = SPLITS,
    metrics: Sequence[str] | None = None,
    plugins: Sequence[str | Path] = (),
    **settings: Any,
) -> Results:
    """Run methods on pairs, in processes of their own, and score them; goes on where it stopped.

    Args:
        methods: names with their options.
        data: name of a data set, or a path.
        out: run folder; ``runs/DATA`` if left out.
        splits: which to run; one that the data set lacks is left out.
        metrics: names; all by default.
        plugins: files with further methods; a function in a notebook has to be written to one.
        settings: others of `imedbench.runs.config.RunConfig`: ``limit``, ``seed``, ``workers`` …

    Raises:
        BadInput: for an unknown name, option or data set.
    """
    from imedbench.analysis.run import open_run, score_run
    from imedbench.core.datasets import open_dataset
    from imedbench.core.registry import METRICS, load_plugin_file
    from imedbench.runs.config import RunConfig, default_folder, offered_splits
    from imedbench.runs.pairs import KeptPairs
    from imedbench.runs.runner import run

    if functions := [method for method in methods if not isinstance(method, str)]:
        raise BadInput(
            f"{functions[0]!r}: methods run in processes of their own; write it to a file with"
            " @register_method, give the file as plugins=[…] and the method by its name"
        )
    files = tuple(map(Path, plugins))
    for file in files:
        load_plugin_file(file)
    folder = Path(out) if out else default_folder(data)
    dataset = KeptPairs(open_dataset(data))
    config = RunConfig(data, tuple(methods), folder, tuple(splits), plugins=files, **settings)
    run(offered_splits(config, dataset, every_split=True)[0], dataset)
    score_run(open_run(folder, dataset=dataset), tuple(metrics or METRICS.names()))
    return Results(folder)


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
