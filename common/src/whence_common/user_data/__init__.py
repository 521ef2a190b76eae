"""User data, judged whole: bytes in, every problem with its place out. No I/O, nothing looked up, nothing guessed.

envelope, multipart   header line, size, compression, MIME parts
nodes, strict_yaml    YAML with a place for every node, bounds, no duplicate keys
schema, keys*         what a key is; the table of all keys and what becomes of each
section, readers      one mapping, one value, read as what its keys ask for
container, options, images, storage, lifecycle, log_plan, host   what the keys mean, a module a subject
platform              what the platform says, and the effective configuration of both
judge                 the whole document: `judge(bytes)` gives the UserData, or None, and all problems
masking               the copy that may be shown
"""

from __future__ import annotations
