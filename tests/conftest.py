"""Fixtures that several rings share: one landscape for the whole run, an aggregator for each test that asks for one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import hypothesis
import pytest

from fakes.signing_authority import SigningAuthority
from landscape.programs import Aggregator, aggregator
from landscape.whole import Landscape, landscape

hypothesis.settings.register_profile(
    "whence", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow], print_blob=True
)
hypothesis.settings.load_profile("whence")


@pytest.fixture(scope="session")
async def scape() -> AsyncIterator[Landscape]:
    async with landscape() as everything:
        yield everything


@pytest.fixture
async def server(scape: Landscape, tmp_path: Path) -> AsyncIterator[Aggregator]:
    """An aggregator of its own for one test, on SQLite."""
    async with aggregator(
        tmp_path,
        scape.logs,
        authority_pem=scape.authority_pem,
        registries=(scape.registry,),
        git_servers=(scape.sources.host,),
    ) as running:
        yield running


@pytest.fixture(scope="session")
def authority() -> SigningAuthority:
    return SigningAuthority.make()
