"""The agent states its image's statement, and which packages differ on the machine: what it cannot read, it says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fakes.agent_world import World
from whence_agent.adapters.root_packages import RootPackages
from whence_agent.watch.packages import PackageWatch
from whence_common.ami_facts import AmiFacts, PackageFacts
from whence_common.ami_file import AMI_FILE_PATH, DIFFERENCES_MAX, ami_facts, ami_file
from whence_common.installed_packages import UPDATES_MAX, UPDATES_PATH, InstalledPackage
from whence_common.statement import Predicate, Statement

DIGEST = "sha256:" + "1" * 64
STATUS = "Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {version}\n\n"
IMAGE = [InstalledPackage("openssl", "amd64", "3.0.16-1"), InstalledPackage("vim", "amd64", "2:9-1")]


class Root:
    """The root of a machine that was launched from an image with two packages."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.image, self.status = path / AMI_FILE_PATH, path / "var/lib/dpkg/status"
        for file in (self.image, self.status):
            file.parent.mkdir(parents=True)
        self.image.write_bytes(ami_file("whence-1.2", DIGEST, IMAGE).to_wire())
        self.install(openssl="3.0.16-1", vim="2:9-1")

    def install(self, **versions: str) -> None:
        """Replace the status file as dpkg does."""
        new = self.status.with_name("status-new")
        new.write_text("".join(STATUS.format(name=name, version=one) for name, one in versions.items()))
        new.replace(self.status)

    def update(self, file: str, *, name: str, version: str, state: str) -> None:
        """Note a change as dpkg does until it ends."""
        updates = self.path / UPDATES_PATH
        updates.mkdir(exist_ok=True)
        stanza = STATUS.format(name=name, version=version).replace("ok installed", f"ok {state}")
        (updates / file).write_text(stanza.removesuffix("\n"))


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(tmp_path / "root")


def watch(world: World, root: Root) -> PackageWatch:
    return PackageWatch(
        packages=RootPackages(root.path), progress=world.progress, reporter=world.reporter, seconds=300.0
    )  # fmt: skip


def stated(world: World) -> list[AmiFacts]:
    return [one.ami for one in world.statements() if isinstance(one.ami, AmiFacts)]


async def test_a_machine_as_its_image_states_that_nothing_differs(root: Root, tmp_path: Path) -> None:
    world = World(tmp_path)
    await watch(world, root).look()
    world.reporter.report("boot")
    (found,) = stated(world)
    assert (found.statement_digest, found.name, found.differing, found.unread) == (DIGEST, "whence-1.2", 0, "")
    assert found.packages_digest.startswith("sha256:")


async def test_an_upgrade_after_the_boot_is_stated_at_once(root: Root, tmp_path: Path) -> None:
    world = World(tmp_path)
    packages = watch(world, root)
    await packages.look()
    world.reporter.report("boot")
    await packages.look()
    assert len(world.statements()) == 1, "nothing has changed"
    root.install(openssl="3.0.17-1", nginx="1.22-1")
    await packages.look()
    (change,) = world.statements()
    assert change.cause == "change"
    assert isinstance(change.ami, AmiFacts)
    assert change.ami.differences == [
        PackageFacts(name="nginx", architecture="amd64", image="", machine="1.22-1"),
        PackageFacts(name="openssl", architecture="amd64", image="3.0.16-1", machine="3.0.17-1"),
        PackageFacts(name="vim", architecture="amd64", image="2:9-1", machine=""),
    ]
    assert change.ami.differing == 3


async def test_a_machine_whose_image_names_no_statement_states_nothing(root: Root, tmp_path: Path) -> None:
    root.image.unlink()
    world = World(tmp_path)
    await watch(world, root).look()
    world.reporter.report("boot")
    (statement,) = world.statements()
    assert not isinstance(statement.ami, AmiFacts)
    assert b'"ami"' not in Statement.of(statement).to_wire()


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b"x" * 3_000_000])
async def test_a_damaged_file_of_the_image_states_nothing(root: Root, tmp_path: Path, content: bytes) -> None:
    root.image.write_bytes(content)
    assert await RootPackages(root.path).read() is None


async def test_packages_that_cannot_be_read_are_stated_as_not_read(root: Root) -> None:
    packages = RootPackages(root.path)
    root.install(openssl="3 0")
    found = await packages.read()
    assert found is not None
    assert "no well-formed Package" in found.unread
    assert (found.packages_digest, found.differences) == ("", [])
    root.status.unlink()
    gone = await packages.read()
    assert gone is not None
    assert gone.unread == "/var/lib/dpkg/status: No such file or directory"
    root.install(openssl="3.0.16-1", vim="2:9-1")
    again = await packages.read()
    assert again is not None
    assert (again.unread, again.differing) == ("", 0)


async def test_an_endless_file_is_not_read_to_its_end(root: Root) -> None:
    with root.status.open("wb") as stream:
        stream.write(b"Package: openssl\nDescription: ")
        stream.truncate(100 * 1024 * 1024)  # a sparse line of 100 MB
    found = await RootPackages(root.path).read()
    assert found is not None
    assert "a line is too long" in found.unread


async def test_what_an_interrupted_dpkg_unpacked_is_stated_before_it_reaches_the_status(root: Root) -> None:
    packages = RootPackages(root.path)
    assert await packages.read() is not None
    root.update("0000", name="openssl", version="3.0.16-1", state="half-installed")
    root.update("0001", name="openssl", version="3.0.17-1", state="unpacked")
    root.update("0002", name="vim", version="2:9-1", state="not-installed")
    root.update("tmp.i", name="vim", version="2:9-1", state="installed")
    found = await packages.read()
    assert found is not None
    assert [(one.name, one.machine) for one in found.differences] == [("openssl", "3.0.17-1"), ("vim", "")]
    root.update("0003", name="vim", version="2 9", state="installed")
    damaged = await packages.read()
    assert damaged is not None
    assert "no well-formed Package" in damaged.unread
    for number in range(1, UPDATES_MAX + 2):
        root.update(f"{number:04}", name="vim", version="2:9-1", state="installed")
    endless = await packages.read()
    assert endless is not None
    assert f"more than {UPDATES_MAX} files" in endless.unread


def test_a_list_that_is_cut_has_all_architectures_of_a_name_or_none() -> None:
    names = [f"a{number:03}" for number in range(DIFFERENCES_MAX - 1)]
    image = ami_file("whence-1.2", DIGEST, [])
    now = [InstalledPackage(name, "amd64", "1") for name in [*names, "openssl", "vim"]]
    found = ami_facts(image, sorted([*now, InstalledPackage("openssl", "i386", "1")]))
    assert found.differing == DIFFERENCES_MAX + 2
    assert [one.name for one in found.differences] == names


async def test_files_are_read_again_only_when_they_have_changed(root: Root) -> None:
    packages = RootPackages(root.path)
    first = await packages.read()
    assert await packages.read() is first
    found = root.status.stat()
    os.utime(root.status, ns=(found.st_atime_ns, found.st_mtime_ns + 1))
    assert await packages.read() is not first


def test_statements_of_earlier_agents_have_no_image_and_stay_valid() -> None:
    golden = (Path(__file__).parent.parent / "data/statement.json").read_bytes()
    found: Predicate = Statement.from_wire(golden).predicate
    assert not isinstance(found.ami, AmiFacts)
