"""`whence`, the command line client of the API. It imports no part of the server."""

from __future__ import annotations
