"""User data, judged whole: bytes in, every problem with its place out. No I/O, nothing looked up, nothing guessed.

envelope   header line, size, compression
strict_yaml  YAML with a position for every node, bounds, no duplicate keys
schema     the keys of reference user-data.md and what becomes of each
readers    one value read as what its key asks for
judge      the whole document: `judge(bytes)` gives the UserData, or None, and all problems
masking    the copy that may be shown
"""

from __future__ import annotations
