"""What `cli` runs, one module a command. A command prints and gives an exit code; argv and environment are cli's."""

from __future__ import annotations
