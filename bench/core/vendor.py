"""Exports of OCT devices: the fundus image, and the scan seen from above.

Heidelberg's ``.vol`` and ``.e2e`` files are read by eyepy, which comes with
``pip install 'imedbench[vendor]'``; Topcon's ``.fda`` files need no further package.
"""

from __future__ import annotations

from pathlib import Path

from imedbench.core.decoding import Picture
from imedbench.core.errors import BadInput
from imedbench.core.oct_scans import Export

_LISTED = 6  # scans that a message names


def read_export(path: Path, file: Path, page: int | None) -> Picture:
    """Read an image out of an OCT device's export.

    Args:
        path: for messages.
        file: with the ending ``.vol``, ``.e2e`` or ``.fda``.
        page: 1 for the fundus image of the first scan, 2 for the mean of its OCT volume along the
            depth, with the lines as far apart as they were on the retina; 3 and 4 for the second
            scan, and so on.

    Raises:
        BadInput: when eyepy is not installed, the file cannot be read or no page is named.
    """
    try:
        export = _opened(file)
        if page is None or not 1 <= page <= 2 * len(export.scans):
            raise BadInput(f"say which image: {_listed(file.name, export)}")
        read = export.fundus if page % 2 else export.above
        return read((page - 1) // 2)
    except ModuleNotFoundError as error:
        raise BadInput(
            f"{path}: exports of OCT devices need one more package: pip install 'imedbench[vendor]'"
        ) from error
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from None
    except Exception as error:  # what a device writes, and what of it is damaged, fails in any way
        first = (str(error).splitlines() or [repr(error)])[0]
        raise BadInput(f"{path}: not an export that can be read ({first})") from error


def _opened(file: Path) -> Export:
    kind = file.suffix.lower()
    if kind == ".fda":
        from imedbench.core.topcon import FdaExport

        return FdaExport(file)
    from imedbench.core.heidelberg import E2eExport, VolExport

    return VolExport(file) if kind == ".vol" else E2eExport(file)


def _listed(name: str, export: Export) -> str:
    scans = export.scans
    told = []
    for n, scan in enumerate(scans[:_LISTED]):
        above = f", {name}#{2 * n + 2} for the OCT seen from above" if scan.lines else ""
        told.append(f"{name}#{2 * n + 1} for the fundus image{above} ({scan})")
    more = f"; and {len(scans) - _LISTED} scans more" if len(scans) > _LISTED else ""
    return "; ".join(told) + more
