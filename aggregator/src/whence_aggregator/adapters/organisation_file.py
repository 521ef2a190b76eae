"""The file of the organisation, read whole each time."""

from __future__ import annotations

import asyncio
from pathlib import Path

from whence_aggregator.organisation.file import FILE_BYTES_MAX, parse_organisation
from whence_aggregator.organisation.values import Snapshot
from whence_aggregator.ports import SourceUnavailable
from whence_common.errors import InputError


class OrganisationFileSource:
    def __init__(self, path: str) -> None:
        self._path = path

    async def read(self) -> Snapshot:
        """Read the file. Raises SourceUnavailable with every mistake and its place."""
        try:
            return await asyncio.to_thread(self.load)
        except OSError as exc:
            message = f"organisation.file {self._path} cannot be read: {exc.strerror}"
            raise SourceUnavailable("organisation-file", message) from exc
        except InputError as exc:
            raise SourceUnavailable("organisation-file", exc.message) from exc

    def load(self) -> Snapshot:
        """Read the file at the start. Raises OSError, SettingsInvalid or SnapshotTooLarge."""
        with Path(self._path).open("rb") as stream:
            content = stream.read(FILE_BYTES_MAX + 1)
        return parse_organisation(content, name=self._path)
