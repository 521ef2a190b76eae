"""The commands of `cli`, one module each. A command prints and returns an exit code; only `cli` reads argv and the
environment."""

from __future__ import annotations
