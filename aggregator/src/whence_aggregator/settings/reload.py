"""Reload of settings, tokens and certificates in a running process: all of it is applied, or nothing is."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import msgspec

from whence_common.errors import InputError
from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)

S = TypeVar("S", bound=msgspec.Struct)
Prepare = Callable[[S], Callable[[], None]]
"""Validates new settings; returns the function that applies them, which cannot fail. Raises InputError or OSError."""


class Reload(Generic[S]):
    """Applies the settings that `live` names, and counts the results.

    `read` raises InputError or OSError for an invalid file.
    """

    def __init__(
        self,
        *,
        read: Callable[[], S],
        settings: S,
        live: frozenset[str],
        prepare: Sequence[Prepare[S]],
        count: Callable[[str], None],
    ) -> None:
        self._read = read
        self._started = settings
        self._live = live
        self._prepare = prepare
        self._count = count

    def __call__(self) -> bool:
        """Read everything again; return False: the process continues, whether the reload succeeded or not."""
        try:
            settings = self._read()
            apply = [prepare(settings) for prepare in self._prepare]
        except (InputError, OSError) as exc:
            self._count("refused")
            reason = exc.diagnostics() if isinstance(exc, InputError) else str(exc)
            log.error("reload refused: everything stays as it was", extra=fields(error=reason))
            return False
        for one in apply:
            one()
        self._count("applied")
        waiting = [
            name
            for name in self._started.__struct_fields__
            if name not in self._live and getattr(settings, name) != getattr(self._started, name)
        ]
        log.info("settings, tokens and certificates were read again", extra=fields(restart_needed_for=waiting))
        return False
