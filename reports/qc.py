"""Contact sheets of aligned pairs, for somebody who looks through them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from imedbench.core.arrays import Pixels
from imedbench.core.errors import BadInput
from imedbench.core.images import read_image
from imedbench.core.progress import Progress
from imedbench.core.resize import fitted_size, resize
from imedbench.core.types import ImagePair
from imedbench.reports.pictures import checkerboard, colour, overlay
from imedbench.runs.align import Aligned
from imedbench.runs.output import encode_picture, write_file
from imedbench.runs.pairs import KeptPairs

TILE = 256  # px, side of one picture
ROWS = 24  # pairs a page
_CAPTION = 22  # px
_BLACK, _RED = (0, 0, 0), (190, 20, 20)


def write_sheets(
    out: Path, done: Sequence[Aligned], pairs: KeptPairs, progress: Progress
) -> list[Path]:
    """Draw what became of every pair, those that need a look on top.

    A strip shows the fixed image, the vessels of both laid over each other (magenta fixed, green
    moving, white where they agree) and a checkerboard; of a refused pair, the two images. Strips
    are kept, so that a call that goes on draws the new pairs only.

    Args:
        out: the folder that the pairs were aligned into.
        done: the pairs, in the order of the sheet.
        pairs: to read from.
        progress: is told of every pair.

    Returns:
        The pages.
    """
    progress.begin(len(done))
    strips = []
    for item in done:
        strips.append(_kept_strip(out / "qc", item, pairs))
        progress.row("drawing", item.ref.pair_id)
    written = []
    for number, start in enumerate(range(0, len(strips), ROWS), 1):
        page = out / ("qc.png" if len(strips) <= ROWS else f"qc-{number:03d}.png")
        sheet = np.concatenate(strips[start : start + ROWS])
        write_file(page, encode_picture(page, sheet))
        written.append(page)
    return written


def _kept_strip(folder: Path, item: Aligned, pairs: KeptPairs) -> Pixels:
    if item.row is None:
        return _strip(None, item)
    kept = folder / f"{item.row.key}.png"
    if kept.is_file():
        return colour(read_image(kept))
    try:
        pair = pairs.load(item.ref)
    except BadInput:  # its row says what is wrong
        return _strip(None, item)
    strip = _strip(pair, item)
    write_file(kept, encode_picture(kept, strip))
    return strip


def _strip(pair: ImagePair | None, item: Aligned) -> Pixels:
    """The pictures of one pair below its caption, H×W×3 RGB."""
    tiles = [np.full((TILE, TILE, 3), 235, np.uint8)] * 3
    row = item.row
    if pair is not None and item.files and row is not None and row.transform is not None:
        images = pair.fixed, pair.moving
        shown = overlay(*images, row.transform), checkerboard(*images, row.transform)
        tiles = [_tile(colour(pair.fixed)), *map(_tile, shown)]
    elif pair is not None:
        tiles = [_tile(colour(pair.fixed)), _tile(colour(pair.moving)), tiles[2]]
    sure = "" if row is None or row.confidence is None else f"   confidence {row.confidence:.2f}"
    what = "aligned" if item.files else f"{row.outcome}: {row.reason}" if row else "not computed"
    caption = _caption(f"{item.ref.pair_id}   {what}{sure}", _BLACK if item.files else _RED)
    return np.concatenate([caption, np.concatenate(tiles, 1)])


def _tile(picture: Pixels) -> Pixels:
    """A picture shrunk into a square."""
    small = resize(picture, fitted_size((picture.shape[1], picture.shape[0]), TILE))
    canvas = np.zeros((TILE, TILE, 3), np.uint8)
    canvas[: small.shape[0], : small.shape[1]] = small
    return canvas


def _caption(text: str, ink: tuple[int, int, int]) -> Pixels:
    from PIL import Image, ImageDraw, ImageFont

    canvas = Image.new("RGB", (3 * TILE, _CAPTION), "white")
    plain = " ".join(text.split())
    ImageDraw.Draw(canvas).text((4, 3), plain, fill=ink, font=ImageFont.load_default(14))
    return np.asarray(canvas)
