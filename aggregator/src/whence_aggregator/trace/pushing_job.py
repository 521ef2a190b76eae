"""The CI job that pushed an image to the registry front. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from whence_common.image_provenance import SourceClaim
from whence_common.scm_source import ScmSource


@dataclass(frozen=True, slots=True, kw_only=True)
class PushingJob:
    """A CI job as its token names it, with the source that it ran for."""

    name: str
    source: ScmSource
    pushed_at: str
    ledger_index: int

    @property
    def claim(self) -> SourceClaim:
        return SourceClaim(kind="push", source=self.source, by=self.name)
