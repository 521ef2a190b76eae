"""Settings files of the two servers: parsed and validated whole, with the place of each problem."""

from __future__ import annotations
