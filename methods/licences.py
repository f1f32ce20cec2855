"""Weights under a restricted licence, and who has accepted it.

Acceptance is asked for once: it is given by the option ``accept_license`` or by the environment
variable ``IMEDBENCH_ACCEPT_LICENSE=1``, and kept in the user's configuration folder.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from imedbench.core.errors import BadInput

MAGIC_LEAP = "LicenseRef-MagicLeap-NonCommercial"
NOTICES: Mapping[str, str] = {
    MAGIC_LEAP: "Magic Leap's licence: academic or non-profit, non-commercial research only,"
    " no redistribution"
}


def ask_licence(method: str, licence: str, accept: bool = False) -> None:
    """Let weights under a restricted licence through only once somebody has accepted it.

    Args:
        method: that wants them.
        licence: SPDX name.
        accept: the user accepts now; remembered.

    Raises:
        BadInput: when it has not been accepted, with the terms and how to accept.
    """
    if licence not in NOTICES:
        return
    accepted = _accepted()
    if licence in accepted:
        return
    if not (accept or os.environ.get("IMEDBENCH_ACCEPT_LICENSE") == "1"):
        raise BadInput(
            f"{method}: its weights are under {NOTICES[licence]}; if that fits your use, add the"
            " option accept_license=on once, or set IMEDBENCH_ACCEPT_LICENSE=1"
        )
    path = acceptance_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(sorted({*accepted, licence})) + "\n", encoding="utf-8")


def acceptance_file() -> Path:
    """Tell where acceptances are kept: below ``$XDG_CONFIG_HOME`` or ``~/.config``."""
    root = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(root) / "imedbench" / "accepted_licences.json"


def _accepted() -> list[str]:
    path = acceptance_file()
    if not path.is_file():
        return []
    try:
        return [str(name) for name in json.loads(path.read_text(encoding="utf-8"))]
    except ValueError as error:
        raise BadInput(f"{path}: not a JSON list of licences ({error}); delete it") from None
