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


_ON_THE_MACHINE = ("install", "test_demo.py", "test_documents.py")


@pytest.hookimpl(tryfirst=True)  # before the scheduler reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep what shares the machine's one bridge, loop devices and mounts on one worker; the rest goes anywhere."""
    for item in items:
        shares = "scape" in getattr(item, "fixturenames", ()) or any(
            part in _ON_THE_MACHINE for part in item.path.parts
        )
        if shares:
            item.add_marker(pytest.mark.xdist_group("machine"))


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
