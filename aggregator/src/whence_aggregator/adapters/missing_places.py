"""Registries that want their repositories made before a push (ECR, Harbor's projects), and how they say so."""

from __future__ import annotations

import aiohttp

from whence_aggregator.adapters.answers import read_answer
from whence_aggregator.registry.refusals import RegistryRefusal
from whence_common.errors import one_line
from whence_common.registry_answers import ERROR_BYTES_MAX, ErrorDocument

_CODES = frozenset({"NAME_UNKNOWN", "NOT_FOUND", "PROJECT_NOT_FOUND"})
_EXCEPTION = b"RepositoryNotFoundException"
"""ECR's own name, where its API's words come through."""


def place_missing(status: int, said: bytes) -> bool:
    """Say whether a refusal of a push means that its repository, or the project around it, does not exist."""
    if status not in (400, 404):
        return False
    codes = ErrorDocument.parse(said).codes
    if status == 404:
        return bool(codes & _CODES) or _EXCEPTION in said
    return "NAME_UNKNOWN" in codes or _EXCEPTION in said


def missing(path: str) -> RegistryRefusal:
    """Say that the registry behind has no such repository: waiting does not help, making it does."""
    return RegistryRefusal(
        "NAME_UNKNOWN",
        f"the registry behind has no repository {one_line(path, 300)}",
        fix="have its operator create it there, then push again (ECR: aws ecr create-repository --repository-name, "
        "or a repository creation template; Harbor: create the project)",
    )


async def check_place(answer: aiohttp.ClientResponse, path: str) -> None:
    """Raise RegistryRefusal when the registry behind refuses because the repository is not there."""
    if answer.status in (400, 404) and place_missing(answer.status, await read_answer(answer, ERROR_BYTES_MAX) or b""):
        raise missing(path)
