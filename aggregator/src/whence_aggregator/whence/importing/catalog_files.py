"""The entities of catalog files: each file is read once, and Locations lead to files of the same tree only."""

from __future__ import annotations

import posixpath
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Protocol

from whence_aggregator.whence.importing.entities import CatalogEntity, OtherKind, entity_of
from whence_aggregator.whence.importing.values import Origin, SourceReading, Unmapped
from whence_aggregator.whence.importing.yaml_documents import documents
from whence_common.errors import InputError, one_line

FILES_MAX = 10_000
CATALOG_BYTES_MAX = 256 * 1024 * 1024
ENTITIES_MAX = 200_000
TARGETS_MAX = 1_000
_ELSEWHERE = ("http://", "https://", "git@", "ssh://")
_PATTERN = "*?["


class CatalogTree(Protocol):
    """A directory or a commit of a repository."""

    @property
    def repository(self) -> str: ...

    def starts(self) -> Iterator[str | Unmapped]:
        """Yield the paths of the files to begin with, and what cannot be read."""
        ...

    def read(self, path: str) -> bytes:
        """Return a file. Raises InputError; its message does not repeat the path."""
        ...

    def shown(self, path: str) -> str:
        """Return the file's name for reports."""
        ...

    def identity(self, path: str) -> str:
        """Return what is equal for one file of two trees."""
        ...


def read_entities(
    trees: Sequence[CatalogTree], reading: SourceReading, *, progress: Callable[[int], None]
) -> list[CatalogEntity]:
    """Return all entities of kinds that are read, in order; the rest is added to the reading."""
    reader = _Reader(reading, progress)
    for tree in trees:
        reader.read(tree)
    return reader.entities


class _Reader:
    def __init__(self, reading: SourceReading, progress: Callable[[int], None]) -> None:
        self.entities: list[CatalogEntity] = []
        self._reading = reading
        self._progress = progress
        self._seen: set[str] = set()
        self._bytes = 0

    def read(self, tree: CatalogTree) -> None:
        """Read a tree's files and those that its Locations name."""
        waiting: deque[tuple[str, Origin | None]] = deque()
        starts = list(islice(tree.starts(), FILES_MAX + 1))
        self._reading.unmapped += [one for one in starts if isinstance(one, Unmapped)]
        waiting += [(one, None) for one in starts if not isinstance(one, Unmapped)]
        if not starts:
            origin, fix = Origin(file=tree.shown("").rstrip("/")), "correct the path, or pass --file-name"
            self._unread(origin, "import-nothing", "there is no catalog file", fix)
        while waiting:
            path, named_by = waiting.popleft()
            if tree.identity(path) in self._seen:
                continue
            if len(self._seen) >= FILES_MAX or self._bytes > CATALOG_BYTES_MAX or len(self.entities) > ENTITIES_MAX:
                reason = f"the catalog has more than {FILES_MAX} files, {CATALOG_BYTES_MAX >> 20} MiB or " \
                         f"{ENTITIES_MAX} entities; the rest was not read"  # fmt: skip
                self._unread(Origin(file=tree.shown(path)), "import-catalog-too-large", reason, "import it in parts")
                return
            self._seen.add(tree.identity(path))
            self._progress(len(self._seen))
            try:
                content = tree.read(path)
            except InputError as exc:
                self._unread(named_by or Origin(file=tree.shown(path)), exc.code, f"{path}: {exc.message}", exc.fix)
                continue
            self._bytes += len(content)
            waiting += self._entities_of(tree, path, content)

    def _entities_of(self, tree: CatalogTree, path: str, content: bytes) -> list[tuple[str, Origin | None]]:
        """Add a file's entities; return the files that its Locations name."""
        following: list[tuple[str, Origin | None]] = []
        shown = tree.shown(path)
        for document in documents(content, file=shown):
            if isinstance(document, Unmapped):
                self._reading.unmapped.append(document)
                continue
            found = entity_of(document, file=shown, repository=tree.repository)
            if isinstance(found, list):
                self._reading.unmapped += found
            elif isinstance(found, OtherKind):
                self._reading.skipped[found.name] += 1
            elif found.kind == "Location":
                following += self._targets(found, path)
            else:
                self.entities.append(found)
        return following

    def _targets(self, location: CatalogEntity, path: str) -> Iterator[tuple[str, Origin | None]]:
        target = location.texts["spec.target"]
        targets = [*([target] if target else []), *location.lists["spec.targets"]]
        at = location.at("spec.targets" if location.lists["spec.targets"] else "spec.target")
        for one in targets[:TARGETS_MAX]:
            joined = posixpath.normpath(posixpath.join(posixpath.dirname(path), one))
            shown = repr(one_line(one, 100))
            if one.startswith(_ELSEWHERE) or location.texts["spec.type"] not in ("", "file", "url"):
                reason = "a target is in another place, and is not followed"
                self._unread(at, "import-location", reason, "pass its repository: --repository URL")
            elif any(character in one for character in _PATTERN):
                fix = "pass the directory, with --file-name if the files have other names"
                self._unread(at, "import-location", f"the target {shown} is a pattern, which is not followed", fix)
            elif posixpath.isabs(one) or joined == ".." or joined.startswith("../") or "\0" in one or "\\" in one:
                reason = f"the target {shown} leads out of the directory, and is not followed"
                self._unread(at, "import-location", reason, "pass a directory that contains it")
            else:
                yield joined, at
        if len(targets) > TARGETS_MAX:
            self._unread(at, "import-location", f"more than {TARGETS_MAX} targets; the rest was not read", "split it")

    def _unread(self, origin: Origin, code: str, reason: str, fix: str) -> None:
        self._reading.unmapped.append(Unmapped(origin=origin, code=code, reason=reason, fix=fix, unread=True))
