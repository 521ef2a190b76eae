"""An aggregator process without the rest of the landscape, and servers that misbehave over loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from fakes.signing_authority import SigningAuthority
from landscape.programs import Aggregator, aggregator


@pytest.fixture(scope="module")
async def lone(authority: SigningAuthority, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Aggregator]:
    directory = tmp_path_factory.mktemp("lone")
    registry = {"name": "pierone.example.org", "backend": "http://127.0.0.1:1"}
    async with aggregator(
        directory, directory, authority_pem={"eu-central-1": authority.pem}, registry_front=registry
    ) as running:
        yield running
