"""`whence`, the command people type: a client of the API, and nothing more."""

from __future__ import annotations
