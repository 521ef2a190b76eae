"""What goes into the aggregator's image: wheels by hash, and the commit as git states it."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from landscape.containers import FOLDER
from landscape.loaded import loaded
from landscape.processes import NotReady, run
from whence_aggregator import __version__
from whence_common.scm_source import ScmSource

build: ModuleType = loaded(FOLDER / "build.py")
_GIT = ("git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "init.defaultBranch=main")


@pytest.fixture
async def checkout(tmp_path: Path) -> Path:
    place = tmp_path / "checkout"
    place.mkdir()
    (place / "file").write_text("1\n", encoding="utf-8")
    for words in (("init", "-q", "."), ("add", "."), ("commit", "-q", "-m", "One")):
        await run(*_GIT, *words, cwd=place)
    return place


async def test_a_clean_checkout_is_stated_by_its_commit(checkout: Path) -> None:
    found = build.source_of(checkout, "https://git.example.org/a")
    head = (await run("git", "rev-parse", "HEAD", cwd=checkout)).strip()
    assert (found.revision, found.author, found.status) == (head, "Ada", "")
    stated = ScmSource.parse(found.document())
    assert (stated.url, stated.revision, stated.status) == ("git:https://git.example.org/a", head, "")
    assert stated.missing_keys == ()


async def test_local_changes_are_stated(checkout: Path) -> None:
    (checkout / "file").write_text("2\n", encoding="utf-8")
    (checkout / "new").write_text("2\n", encoding="utf-8")
    document = json.loads(build.source_of(checkout, "https://git.example.org/a").document())
    assert document["revision"].endswith(" (locally modified)")
    assert document["status"] == " M file\n?? new"


async def test_a_login_in_the_remotes_url_is_left_out(checkout: Path) -> None:
    await run("git", "remote", "add", "origin", "https://ada:s3cret@git.example.org/a", cwd=checkout)
    found = build.source_of(checkout, None)
    assert found.url == "https://git.example.org/a"
    assert b"s3cret" not in found.document()


async def test_a_checkout_without_a_remote_needs_the_url(checkout: Path) -> None:
    with pytest.raises(SystemExit, match="make container SOURCE=URL"):
        build.source_of(checkout, None)


async def test_a_wheel_with_another_hash_is_not_installed(tmp_path: Path) -> None:
    context = tmp_path / "context"
    (context / "wheels").mkdir(parents=True)
    (pip,) = build.fetched(FOLDER / "pip.lock")
    (context / "pip.whl").write_bytes(pip.read_bytes())
    (wheel,) = [one for one in build.fetched(FOLDER.parent / "aggregator.lock") if one.name.startswith("idna-")]
    (context / "wheels" / wheel.name).write_bytes(wheel.read_bytes())
    locked = f"idna=={wheel.name.split('-')[1]} --hash=sha256:{'0' * 64}\n"
    (context / "wheels.lock").write_text(locked, encoding="utf-8")
    with pytest.raises(NotReady) as caught:
        await run(sys.executable, FOLDER / "install.py", context, tmp_path / "target")
    assert "CalledProcessError" in str(caught.value)
    assert list((tmp_path / "target/lib").rglob("idna*")) == []


async def test_settings_become_files_of_the_image_that_its_user_reads(checkout: Path, tmp_path: Path) -> None:
    ours, settings = tmp_path / "ours", tmp_path / "settings"
    for folder in (ours, settings, tmp_path / "with", tmp_path / "without"):
        folder.mkdir()
    for part in ("common", "aggregator"):
        (ours / f"whence_{part}-7.8.9-py3-none-any.whl").write_bytes(b"")
    (settings / "aggregator.yaml").write_text("a: 1\n", encoding="utf-8")
    (settings / "aggregator.yaml").chmod(0o600)
    source = build.source_of(checkout, "https://git.example.org/a")
    assert build.write_context(tmp_path / "without", ours, source) == "7.8.9"
    assert list((tmp_path / "without/etc").iterdir()) == []
    build.write_context(tmp_path / "with", ours, source, settings=settings)
    (file,) = (tmp_path / "with/etc").iterdir()
    assert (file.name, file.read_text(), file.stat().st_mode & 0o777) == ("aggregator.yaml", "a: 1\n", 0o644)


def test_every_package_of_the_lock_has_one_wheel_for_this_machine() -> None:
    lock = FOLDER.parent / "aggregator.lock"
    names = {line.partition("==")[0].replace("-", "_") for line in lock.read_text().splitlines() if "==" in line}
    found = [one.name.split("-")[0].lower() for one in build.fetched(lock)]
    assert sorted(found) == sorted(names)


def test_no_service_of_the_compose_file_has_a_secret_or_more_rights_than_it_needs() -> None:
    document = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))
    for name, service in document["services"].items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["read_only"] is True, name
        assert [one for one in service.get("environment", {}) if one != "WHENCE_DATABASE"] == [], name
    replicas = [document["services"][f"aggregator-{number}"] for number in (1, 2)]
    assert all(
        "database-owner.password" not in one["secrets"] and "witness.key" not in one["secrets"] for one in replicas
    )
    assert [one for one, service in document["services"].items() if "ports" in service] == ["proxy"]
    assert document["networks"]["inside"]["internal"] is True
    assert [one for one in ("database", "witness") if document["services"][one]["networks"] != ["inside"]] == []


async def test_the_names_of_images_have_the_programs_version() -> None:
    planned = await run("make", "--dry-run", "container", "SOURCE=https://git.example.org/a", cwd=FOLDER.parents[1])
    made = set(re.findall(r"--tag (\S+)", planned))
    assert made == {f"whence-{one}:{__version__}" for one in ("aggregator", "database", "proxy")}
    document = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))
    used = {re.sub(r"\$\{\w+:-(.*)\}", r"\1", service["image"]) for service in document["services"].values()}
    assert used == made
    assert set(re.findall(r"whence-[a-z]+:[0-9.]+[0-9]", (FOLDER / "README.md").read_text(encoding="utf-8"))) == made
