"""Registries whose repositories must exist before a push (ECR, Harbor's projects), and the errors they answer."""

from __future__ import annotations

import aiohttp

from whence_aggregator.adapters.answers import read_answer
from whence_aggregator.registry.refusals import RegistryRefusal
from whence_common.errors import one_line
from whence_common.registry_answers import ERROR_BYTES_MAX, ErrorDocument

_CODES = frozenset({"NAME_UNKNOWN", "NOT_FOUND", "PROJECT_NOT_FOUND"})
_EXCEPTION = b"RepositoryNotFoundException"
"""ECR's own error code, if the error of its API is passed through."""


def place_missing(status: int, content: bytes) -> bool:
    """Return whether a refusal of a push means that its repository, or its project, does not exist."""
    if status not in (400, 404):
        return False
    codes = ErrorDocument.parse(content).codes
    if status == 404:
        return bool(codes & _CODES) or _EXCEPTION in content
    return "NAME_UNKNOWN" in codes or _EXCEPTION in content


def missing(path: str) -> RegistryRefusal:
    """Return the refusal for a repository that must be created in the registry behind: waiting does not help."""
    return RegistryRefusal(
        "NAME_UNKNOWN",
        f"the registry behind has no repository {one_line(path, 300)}",
        fix="have the operator create it there, then push again (ECR: aws ecr create-repository --repository-name, "
        "or a repository creation template; Harbor: create the project)",
    )


async def check_place(answer: aiohttp.ClientResponse, path: str) -> None:
    """Raise RegistryRefusal when the registry behind refuses because the repository does not exist."""
    if answer.status in (400, 404) and place_missing(answer.status, await read_answer(answer, ERROR_BYTES_MAX) or b""):
        raise missing(path)
