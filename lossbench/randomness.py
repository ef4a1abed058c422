"""Addressed randomness: every stream is derived from where it is used, never from what was drawn before.

Runs of different losses with one seed therefore share initial weights, batch order, augmentation and label noise,
and a resumed epoch draws what the uninterrupted one would have drawn, with no generator state to save.
"""

import hashlib

__all__ = ["seed_for"]


def seed_for(seed: int, purpose: str, *address: int | str) -> int:
    """A 63-bit seed for one stream, such as `seed_for(0, "shuffle", epoch)`."""
    text = "/".join(map(str, (seed, purpose, *address)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) >> 1
