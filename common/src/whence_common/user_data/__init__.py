"""Parse and validate user data: from bytes to a UserData, or to every problem with its place. No I/O.

envelope, multipart   header line, size, compression, MIME parts
nodes, strict_yaml    YAML with a place for every node, bounds, no duplicate keys
schema, keys*         the definition of a key; the table of all keys
section, readers      one mapping and one value, read by the type of its key
container, options, images, storage, lifecycle, log_plan, host   the meaning of the keys, by subject
platform              the platform's rules, and the effective configuration
judge                 the whole document: `judge(bytes)` returns the UserData, or None, and all problems
masking               the copy without secrets
plain_secrets         which values are secrets in plain text
"""

from __future__ import annotations
