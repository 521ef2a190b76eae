"""Settings files of the two servers: read whole, judged whole, with the place of each problem."""

from __future__ import annotations
