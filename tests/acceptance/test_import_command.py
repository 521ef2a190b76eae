"""`whence import` as a person runs it: between two aggregators, from the kio command's list, and from catalog files."""

from __future__ import annotations

import json
from pathlib import Path

from fakes.catalogs import GROUP, OTHERS, USERS, annotated, component
from fakes.signing_authority import SigningAuthority
from landscape.processes import ended
from landscape.programs import BIN, Aggregator, aggregator
from landscape.whole import ROOT

KIO = ROOT / ".venv-clients" / "bin" / "kio"


async def shell(*command: str | Path, **environment: str) -> tuple[int, str, str]:
    done = await ended(*command, environment=environment)
    return done.code, done.out, done.err


async def whence(server: Aggregator, *arguments: str | Path, **environment: str) -> tuple[int, str, str]:
    call = {"WHENCE_URL": server.url, "WHENCE_TOKEN": server.token, **environment}
    return await shell(BIN / "whence", "import", *arguments, **call)


async def test_applications_move_between_aggregators_by_kios_paths_by_file_and_from_a_catalog(
    tmp_path: Path, authority: SigningAuthority
) -> None:
    pem = {"eu-central-1": authority.pem}
    async with (
        aggregator(tmp_path, tmp_path, authority_pem=pem, name="first") as first,
        aggregator(tmp_path, tmp_path, authority_pem=pem, name="second") as second,
    ):
        await _from_a_catalog(first, tmp_path)
        await _from_one_aggregator_to_the_other(first, second)
        await _from_the_kio_commands_list(first, second, tmp_path)


async def _from_a_catalog(server: Aggregator, directory: Path) -> None:
    catalog = directory / "catalog"
    catalog.mkdir()
    metadata = annotated("github.com/project-slug: hello/greeter") + "  labels:\n    tier: '1'\n"
    (catalog / "catalog-info.yaml").write_text(f"{GROUP}---\n{USERS}---\n{OTHERS}---\n{component(metadata=metadata)}")
    (catalog / "catalog-info.yml").write_text(component("my_till"))
    call = ("backstage", catalog, "--teams", directory / "teams.yaml", "--state", directory / "state")
    code, said, noted = await whence(server, *call, "--dry-run")
    assert (code, await server.get("/apps")) == (1, [])
    assert "dry run, nothing was written: 1 created" in noted
    code, said, noted = await whence(server, *call)
    assert (code, noted) == (1, "1 created, 0 changed, 0 unchanged, 1 not mapped or refused, 1 teams written\n")
    assert "catalog-info.yml document 1 line 4: 'my_till' has '_' or '.'" in said
    (catalog / "catalog-info.yml").write_text(component("my-till"))
    assert (await whence(server, *call))[0] == 0
    code, _, noted = await whence(server, *call)
    assert (code, noted) == (0, "0 created, 0 changed, 2 unchanged, 0 not mapped or refused, 1 teams unchanged\n")
    shown = await server.get("/apps/greeter")
    assert (shown["team_id"], shown["criticality_level"], shown["scm_url"], shown["last_modified"]) == (
        "hello", 1, "https://github.com/hello/greeter", shown["created"],
    )  # fmt: skip


async def _from_one_aggregator_to_the_other(first: Aggregator, second: Aggregator) -> None:
    code, said, _ = await whence(second, "kio", first.url, WHENCE_KIO_TOKEN="wrong")
    assert (code, await second.get("/apps")) == (3, [])
    await first.put("/apps/retired", {"team_id": "other", "name": "Retired", "active": False, "subtitle": "ß ☃"})
    code, said, _ = await whence(second, "kio", first.url, "--json", WHENCE_KIO_TOKEN=first.token)
    assert (code, [one["result"] for one in json.loads(said)["applications"]]) == (0, ["written"] * 3)
    copies, originals = [
        [{key: value for key, value in one.items() if key not in ("created", "last_modified")} for one in apps]
        for apps in (await second.get("/apps"), await first.get("/apps"))
    ]
    assert copies == originals
    before = await second.get("/apps")
    code, said, noted = await whence(second, "kio", first.url, WHENCE_KIO_TOKEN=first.token)
    assert (code, noted) == (0, "0 created, 0 changed, 3 unchanged, 0 not mapped or refused\n")
    assert await second.get("/apps") == before


async def _from_the_kio_commands_list(first: Aggregator, second: Aggregator, directory: Path) -> None:
    await first.put("/apps/greeter", {"team_id": "hello", "name": "The Greeter", "active": True})
    code, listed, errors = await shell(
        KIO, "applications", "list", "--all", "-o", "json", KIO_URL=first.url, HOME=str(directory),
        OAUTH2_ACCESS_TOKENS=f"kio={first.token}", XDG_CONFIG_HOME=str(directory), LC_ALL="C.UTF-8",
    )  # fmt: skip
    assert code == 0, errors
    (directory / "apps.json").write_text(listed, encoding="utf-8")
    code, said, noted = await whence(second, "file", directory / "apps.json")
    assert (code, noted) == (0, "0 created, 1 changed, 2 unchanged, 0 not mapped or refused\n"), said
    assert (await second.get("/apps/retired"))["active"] is False
