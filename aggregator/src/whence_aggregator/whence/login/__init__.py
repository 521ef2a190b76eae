"""Sign-in of people at the terminal. Rules are pure; only `provider`, `loopback`, `cache` and `browser` do I/O.

Tokens and codes never appear in arguments of programs, output, logs, errors or reprs.
"""

from __future__ import annotations
