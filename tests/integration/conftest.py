"""An aggregator process without the rest of the landscape, and servers that misbehave over loopback."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator

import pytest

from fakes.signing_authority import SigningAuthority
from landscape.minting import mint_settings
from landscape.programs import Aggregator, aggregator


@pytest.fixture(scope="module")
async def lone(authority: SigningAuthority, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Aggregator]:
    directory = tmp_path_factory.mktemp("lone")
    registry = {"name": "pierone.example.org", "backend": "http://127.0.0.1:1"}
    async with aggregator(
        directory, directory, authority_pem={"eu-central-1": authority.pem}, registry_front=registry,
        mint=mint_settings(directory),
    ) as running:  # fmt: skip
        yield running


@pytest.fixture
def own_credentials() -> Iterator[None]:
    """What the role of the program's machine would give it."""
    given = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    yield
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value
