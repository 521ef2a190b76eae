"""Why a message, object or record of a trail cannot be used: it becomes a dead letter with this reason."""

from __future__ import annotations

from whence_common.errors import InputError


class TrailRefused(InputError):
    """A message, log file or record that no retry makes usable: it is kept as a dead letter."""
