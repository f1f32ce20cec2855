"""Named, versioned rules by which papers grade registrations."""

from imedbench.analysis.protocols.evidence import (
    Grade,
    LandmarkErrors,
    PairEvidence,
    Protocol,
    ProtocolResult,
)
from imedbench.analysis.protocols.fire import GLAMPOINTS, LANDMARK_ERROR, RETINAREGNET, SUPERRETINA
from imedbench.analysis.protocols.flori import FLORI
from imedbench.analysis.protocols.imed import LAB, SEED
from imedbench.analysis.protocols.ranks import RankTable, rank_table
from imedbench.analysis.protocols.success import MEMO, REDFEAT
from imedbench.core.errors import BadInput

PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        SEED,
        LAB,
        SUPERRETINA,
        GLAMPOINTS,
        RETINAREGNET,
        LANDMARK_ERROR,
        MEMO,
        REDFEAT,
        FLORI,
    )
}


def find_protocol(name: str) -> Protocol:
    """Return the protocol of that name.

    Raises:
        BadInput: when there is none.
    """
    if name not in PROTOCOLS:
        raise BadInput(f"there is no protocol {name!r}; there are {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]


__all__ = [
    "PROTOCOLS",
    "Grade",
    "LandmarkErrors",
    "PairEvidence",
    "Protocol",
    "ProtocolResult",
    "RankTable",
    "find_protocol",
    "rank_table",
]
