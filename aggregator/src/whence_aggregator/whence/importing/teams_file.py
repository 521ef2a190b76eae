"""The teams of a catalog as an organisation file, which an operator reviews before it is configured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import yaml

from whence_aggregator.whence.importing.state import write_whole
from whence_aggregator.whence.importing.values import StatedMembers
from whence_common.errors import InputError

HEADER = (
    "# Written by `whence import backstage --teams`, and replaced by its next run while this line is the first.\n"
    "# Members of a team may write its applications: review this file before it is configured.\n"
)
_BYTES_MAX = 64 * 1024 * 1024
TeamsFileChange = Literal["written", "unchanged", "none"]


def teams_document(teams: Sequence[StatedMembers]) -> bytes:
    """Return the file: teams by id, each with its direct members; the same teams are the same bytes."""
    listed = [{"id": one.team_id, "name": one.name, "members": list(one.members)} for one in teams]
    text = yaml.safe_dump({"teams": listed}, sort_keys=False, allow_unicode=False, default_flow_style=False)
    return f"{HEADER}{text}".encode("ascii")


def check_replaceable(path: Path) -> None:
    """Raise InputError if the path holds a file that is not this command's own."""
    content = _read(path)
    first = HEADER.partition("\n")[0].encode()
    if content is not None and content.partition(b"\n")[0] != first:
        fix = "pass another path; compare the two, and merge by hand"
        raise InputError("import-teams-file", f"{path} was not written by this command, and is not replaced", fix=fix)


def write_teams(path: Path, teams: Sequence[StatedMembers]) -> TeamsFileChange:
    """Write the file unless it is the same already. Raises InputError or OSError."""
    content = teams_document(teams)
    if _read(path) == content:
        return "unchanged"
    check_replaceable(path)
    write_whole(path, content, mode=0o640)
    return "written"


def _read(path: Path) -> bytes | None:
    try:
        with path.open("rb") as stream:
            return stream.read(_BYTES_MAX)
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise InputError(
            "import-teams-file", f"{path} cannot be read: {exc.strerror}", fix="pass another path"
        ) from exc
