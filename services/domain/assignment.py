"""Deterministic assignment: which variant a unit gets, and which analysis bucket it falls into.

Every choice hashes (salt, unit id) with SHA-256, each part preceded by its length in four bytes, so that no
two different pairs hash the same text. The first eight bytes, read big-endian, are a uniform 64-bit number
``h``; ``(h * n) >> 64`` scales it to n slots without modulo bias. The same is a line of SQL (see
docs/assignment.md), and docs/assignment-vectors.json holds test vectors.

Each purpose has a salt of its own. Reusing one number for "is the unit in the experiment" and "which variant"
would send the whole of a 10 % gate to one variant.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence

BASIS_POINTS = 10_000
"""The resolution of every split: 1 basis point is 0.01 % of units."""

ANALYSIS_BUCKETS = 1_024
"""How many buckets units are hashed into for analysis, for the lifetime of an installation."""

_UNIT_SALT = "headgate.unit.v1"


class Salted:
    """Hashes units with one salt, which is prepared once."""

    __slots__ = ("_begin",)

    def __init__(self, salt: str) -> None:
        encoded = salt.encode()
        self._begin = _length(len(encoded)) + encoded

    def hash64(self, unit_id: str) -> int:
        """Return a uniform 64-bit number for (salt, unit id)."""
        unit = unit_id.encode("utf-8", "surrogatepass")
        message = self._begin + _length(len(unit)) + unit
        number: int = _first_eight_bytes(hashlib.sha256(message).digest())[0]
        return number

    def basis_point(self, unit_id: str) -> int:
        """Return the unit's place on the split's scale, an integer in [0, 10,000)."""
        return (self.hash64(unit_id) * BASIS_POINTS) >> 64


_length = struct.Struct(">I").pack
_first_eight_bytes = struct.Struct(">Q").unpack_from


def hash64(salt: str, unit_id: str) -> int:
    """Return a uniform 64-bit number for (salt, unit id)."""
    return Salted(salt).hash64(unit_id)


def basis_point(salt: str, unit_id: str) -> int:
    """Return the unit's place on the split's scale, an integer in [0, 10,000)."""
    return Salted(salt).basis_point(unit_id)


def unit_hash(unit_id: str) -> int:
    """Return the 64-bit number that stands for the unit everywhere behind the gateway."""
    return _units.hash64(unit_id)


_units = Salted(_UNIT_SALT)


def analysis_bucket(unit_hash_: int) -> int:
    """Return the unit's analysis bucket, an integer in [0, 1,024)."""
    return (unit_hash_ * ANALYSIS_BUCKETS) >> 64


def outcome_partition(unit_hash_: int, partitions: int) -> int:
    """Return the partition of ``outcomes.v1`` that all outcomes of the unit go to, by analysis bucket."""
    return ((unit_hash_ * ANALYSIS_BUCKETS) >> 64) % partitions


def experiment_partition(experiment_id_int: int, partitions: int) -> int:
    """Return the partition of ``touched.v1`` whose owner evaluates the experiment (UUID as an integer)."""
    return experiment_id_int % partitions


def split_salt(experiment_salt: str) -> str:
    """Return the salt of an experiment's split between its variants."""
    return f"{experiment_salt}:split"


def inclusion_salt(experiment_salt: str) -> str:
    """Return the salt that decides whether a unit takes part in an experiment at all."""
    return f"{experiment_salt}:inclusion"


def shadow_salt(experiment_salt: str) -> str:
    """Return the salt that decides which requests a shadow gets a copy of."""
    return f"{experiment_salt}:shadow"


def variant_at(place: int, weights_bp: Sequence[int]) -> int:
    """Return which variant owns ``place``, where the variants own cumulative ranges in order."""
    end = 0
    for index, weight in enumerate(weights_bp):
        end += weight
        if place < end:
            return index
    raise ValueError(f"place {place} lies beyond the weights, which sum to {end}")


def is_treatment(place: int, treatment_share_bp: int) -> bool:
    """Say whether the unit at ``place`` gets the treatment while its share is ``treatment_share_bp``.

    The treatment owns [0, share): raising the share never moves a unit that already has the treatment.
    """
    return place < treatment_share_bp
