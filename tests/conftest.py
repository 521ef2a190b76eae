"""Fixtures that several rings share: one landscape for the whole run, an aggregator for each test that asks for one."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import hypothesis
import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from fakes.signing_authority import SigningAuthority
from landscape.postgres import postgres
from landscape.programs import Aggregator, aggregator
from landscape.whole import Landscape, landscape

hypothesis.settings.register_profile(
    "whence", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow], print_blob=True
)
hypothesis.settings.load_profile("whence")


_ON_THE_MACHINE = (
    "tests/acceptance/", "tests/install/", "tests/integration/test_agent_adapters.py",
    "tests/integration/test_agent_cloud.py", "tests/integration/test_collectors.py",
    "tests/integration/test_aws_weather.py", "tests/contract/test_engine.py",
    "tests/integration/test_registry_trust.py", "tests/integration/test_user_data_boots.py",
    "tests/integration/test_pull_weather.py", "tests/integration/test_watching.py",
)  # fmt: skip
"""Tests that share the machine's one bridge, loop devices and mounts."""


class _Scheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Run the tests that share the machine on one worker, and each other test on whichever worker is free.

    xdist's own groups by marker do not work with pytest 9.2: the scheduler no longer sees them.
    """

    def _split_scope(self, nodeid: str) -> str:
        return "machine" if nodeid.startswith(_ON_THE_MACHINE) else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> _Scheduling:
    return _Scheduling(config, log)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Refuse a test that asks for the landscape in a file that any worker may run."""
    if "scape" in getattr(item, "fixturenames", ()) and not item.nodeid.startswith(_ON_THE_MACHINE):
        raise pytest.UsageError(f"{item.nodeid} uses the fixture scape: add its file to _ON_THE_MACHINE in {__file__}")


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
        sts="required",
        aws_endpoint_url=scape.sts.url,
    ) as running:
        yield running


@pytest.fixture(scope="session")
def authority() -> SigningAuthority:
    return SigningAuthority.make()


@pytest.fixture(scope="session")
async def postgres_dsn(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    directory = Path("/tmp") / f"whence-postgres-{uuid.uuid4().hex[:8]}"
    directory.mkdir(mode=0o755)
    try:
        async with postgres(directory, tmp_path_factory.mktemp("logs")) as dsn:
            yield dsn
    finally:
        shutil.rmtree(directory)
