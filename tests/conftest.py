"""Fixtures that several rings share: one landscape for the whole run, an aggregator for each test that asks for one."""

from __future__ import annotations

import gc
import shutil
from collections.abc import AsyncIterator, Generator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from xdist.remote import Producer

from fakes.signing_authority import SigningAuthority
from landscape import endurance, workers
from landscape.forks import FORKS
from landscape.lent_databases import SqliteTemplate
from landscape.postgres import directory_for_many, postgres
from landscape.programs import Aggregator, aggregator
from landscape.whole import Landscape, landscape
from landscape.workers import ON_THE_MACHINE, Dealing, networks_can_be_made, take_own_network

hypothesis.settings.register_profile(
    "whence", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow], print_blob=True
)
hypothesis.settings.register_profile("sample", hypothesis.settings.get_profile("whence"), derandomize=True)
hypothesis.settings.load_profile("whence" if endurance.WHOLE else "sample")


_NEEDS = {"scape": "engine", "installation": "root"}
"""What a test that asks for a fixture needs of the machine."""
_SETTINGS = ("autovacuum=off",)
"""Of the PostgreSQL that tests share: its databases are small, and live for minutes."""


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["own_network"] = networks_can_be_made()


def pytest_configure(config: pytest.Config) -> None:
    given = getattr(config, "workerinput", {})
    if given.get("own_network"):
        take_own_network(given["workerid"])
    FORKS.on = True


def pytest_unconfigure() -> None:
    FORKS.close()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect no garbage while thousands of tests are loaded, and exempt them and their modules from it afterwards."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Dealing:
    return Dealing(config, log, own_networks=networks_can_be_made())


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark what a test needs, give an endurance test its time, and refuse one that uses an engine in a file that any worker may run."""
    for name in getattr(item, "fixturenames", ()):
        if name in _NEEDS:
            item.add_marker(_NEEDS[name])
    if hypothesis.is_hypothesis_test(getattr(item, "obj", None)):
        item.add_marker("endurance")  # `make test` repeats its examples, so only `make endurance` makes new ones
    if endurance.WHOLE and item.get_closest_marker("endurance"):
        item.add_marker(pytest.mark.timeout(endurance.SECONDS_MAX), append=False)
    if item.get_closest_marker("engine") and not item.nodeid.startswith(ON_THE_MACHINE):
        raise pytest.UsageError(
            f"{item.nodeid} uses a Docker Engine: add its file to ON_THE_MACHINE in {workers.__file__}"
        )


@pytest.fixture(scope="session")
async def scape() -> AsyncIterator[Landscape]:
    async with landscape() as everything:
        yield everything


@pytest.fixture
async def server(scape: Landscape, tmp_path: Path) -> AsyncIterator[Aggregator]:
    """An aggregator of its own for one test, on SQLite."""
    async with _of_the_landscape(scape, tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
async def shared_server(scape: Landscape, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Aggregator]:
    """One aggregator for the tests of a file, each of which has instances of its own; to start one takes seconds."""
    async with _of_the_landscape(scape, tmp_path_factory.mktemp("shared-server")) as running:
        yield running


def _of_the_landscape(scape: Landscape, directory: Path) -> AbstractAsyncContextManager[Aggregator]:
    return aggregator(
        directory,
        scape.logs,
        authority_pem=scape.authority_pem,
        registries=(scape.registry,),
        git_servers=(scape.sources.host,),
        sts="required",
        aws_endpoint_url=scape.sts.url,
    )


@pytest.fixture(scope="session")
def authority() -> SigningAuthority:
    return SigningAuthority.make()


@pytest.fixture(scope="session")
async def postgres_dsn(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    directory = directory_for_many()
    try:
        async with postgres(directory, tmp_path_factory.mktemp("logs"), prepare=lambda _: _SETTINGS) as dsn:
            yield dsn
    finally:
        shutil.rmtree(directory)


@pytest.fixture(scope="session")
async def sqlite_template() -> SqliteTemplate:
    return await SqliteTemplate.make()
