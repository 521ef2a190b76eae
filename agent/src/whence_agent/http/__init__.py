"""The status endpoint: `/` for a person, `/status`, `/health`, `/ready` and `/metrics` for programs. Reads only."""

from __future__ import annotations
