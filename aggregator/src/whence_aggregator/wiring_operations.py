"""Wiring of what operators rely on in each program that serves: who is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from whence_aggregator import wiring_parts as parts
from whence_aggregator.adapters.tokens_file import TokensFile
from whence_aggregator.callers import Callers, TokenUses
from whence_aggregator.ports import Database
from whence_aggregator.settings import Settings
from whence_common.clock import utc_now
from whence_common.lifecycle import Service


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Who may call, the file that states it, and what keeps when they called last."""

    callers: Callers
    file: TokensFile
    uses: TokenUses

    @property
    def services(self) -> Mapping[str, Service]:
        return {"tokens": self.file.run, "token uses": self.uses.run}


def load_known(settings: Settings, database: Database) -> Known:
    """Read the file of tokens. Raises SettingsInvalid or TokensInvalid."""
    callers = Callers(parts.load_callers(settings.tokens_file), now=utc_now)
    return Known(
        callers=callers,
        file=TokensFile(settings.tokens_file, callers=callers, load=parts.load_callers),
        uses=TokenUses(database=database, callers=callers, now=utc_now),
    )
