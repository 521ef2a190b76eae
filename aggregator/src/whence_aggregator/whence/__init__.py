"""`whence`, the command people type: a client of the API. It imports no part of the server."""

from __future__ import annotations
