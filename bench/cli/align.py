"""`imedbench align` and `imedbench apply`: registered images out of one's own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imedbench.cli.gathered import MethodOptions, takes
from imedbench.cli.options import MAX_PROCESSES, ForceOption, SubsetChoice, check_device
from imedbench.cli.score import INCOMPLETE, ends_when_interrupted

if TYPE_CHECKING:
    from imedbench.api import AlignedSet


@dataclass(kw_only=True)
class AlignOptions(MethodOptions):
    """What `imedbench align` is told."""

    pairs: Annotated[
        str,
        typer.Argument(
            help="pairs.csv, a folder of ID_cf.* and ID_octa.* files, or any data set.",
            show_default=False,
        ),
    ]
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write.")] = Path("aligned")
    method: Annotated[str, typer.Option("--method", "-m", help="NAME or NAME:OPTION=VALUE.")] = (
        "imed"
    )
    subset: Annotated[
        SubsetChoice, typer.Option(help="Pairs marked train or test, or all of them.")
    ] = SubsetChoice.ALL
    limit: Annotated[int | None, typer.Option(min=1, help="At most this many pairs.")] = None
    workers: Annotated[int, typer.Option(min=1, max=MAX_PROCESSES, help="Processes.")] = 1
    force: ForceOption = False


@takes(AlignOptions)
def align_command(options: AlignOptions) -> None:
    """Align every pair and write images at their own depth, transforms, a table and a QC sheet.

    Refused pairs get no image; they come first in aligned.csv and on qc.png. The same command again
    goes on where it ended.

    Examples:

    imedbench align my/pairs.csv --out aligned

    imedbench align folder:root=scans:moving=fa --out aligned
    """
    from imedbench.api.whole_set import align_set
    from imedbench.cli.terminal import ProgressBar
    from imedbench.core.types import SPLITS
    from imedbench.runs.config import RunConfig

    config = RunConfig(
        data=options.pairs,
        methods=(options.method,),
        out=options.out,
        splits=SPLITS,
        subset=options.subset.value,
        limit=options.limit,
        device=check_device(options.device),
        workers=options.workers,
        timeout_s=options.timeout,
        plugins=options.ready([options.method]),
    )
    with ends_when_interrupted():
        done = align_set(config, force=options.force, bar=ProgressBar)
    _show(done, as_json=options.json)


def _show(done: AlignedSet, *, as_json: bool) -> None:
    """Print how many were aligned; end with 3 where pairs have no answer."""
    from imedbench.cli.terminal import output, print_json, remarks

    if as_json:
        print_json({"out": str(done.folder), "pairs": len(done.pairs), "aligned": done.aligned})
    else:
        first = "the others first" if done.aligned < len(done.pairs) else "them"
        output.print(
            f"{done.aligned} of {len(done.pairs)} pairs aligned; {done.table} and {done.sheets[0]}"
            f" show {first}",
            highlight=False,
        )
    if done.unanswered:
        lost = done.unanswered[0]
        remarks.print(
            f"INCOMPLETE: {len(done.unanswered)} pairs have no answer, first"
            f" {lost.ref.pair_id}: {lost.row.reason if lost.row else 'not computed'}",
            style="yellow",
            highlight=False,
        )
        raise typer.Exit(INCOMPLETE)


def apply_command(
    transform: Annotated[Path, typer.Argument(help="JSON file of align or register.")],
    source: Annotated[Path, typer.Argument(metavar="FILE", help="Image, mask or points.csv.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write.", show_default=False)],
    mask: Annotated[
        bool, typer.Option("--mask", help="Take the nearest pixel: for masks and labels.")
    ] = False,
    inverse: Annotated[
        bool, typer.Option("--inverse", help="From the fixed image to the moving one.")
    ] = False,
    force: ForceOption = False,
) -> None:
    """Bring another channel, a segmentation or points into the other image's frame.

    Points are a CSV file with columns x and y: 0-based pixel centres.

    Examples:

    imedbench apply aligned/transforms/07.json 07_octa_deep.tif --out 07_deep_on_cf.tif

    imedbench apply aligned/transforms/07.json lesions.csv --inverse --out lesions_on_octa.csv
    """
    from imedbench.cli.terminal import output, remarks
    from imedbench.core.decoding import read_picture
    from imedbench.core.errors import BadInput
    from imedbench.runs.alignment import map_points_file, read_alignment, warp_picture
    from imedbench.runs.output import check_target, encode_picture, write_file

    check_target(out, force=force, inputs=(transform, source))
    alignment = read_alignment(transform)
    alignment = alignment.reversed() if inverse else alignment
    try:
        if source.suffix.lower() == ".csv":
            text, lost = map_points_file(_read_text(source), alignment)
            write_file(out, text.encode())
            if lost:
                remarks.print(f"{lost} points have no place there; their cells are empty")
        else:
            picture = read_picture(source)
            warped = warp_picture(picture, alignment, "nearest" if mask else "linear")
            write_file(out, encode_picture(out, warped))
    except BadInput as error:
        raise error if str(source) in str(error) else BadInput(f"{source}: {error}") from None
    output.print(f"wrote {out}", highlight=False)


def _read_text(path: Path) -> str:
    from imedbench.core.errors import BadInput

    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: not a CSV file in UTF-8 that can be read ({error})") from None
