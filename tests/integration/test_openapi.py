"""openapi.yaml and the programs that serve it list the same paths, methods, parameters and needs for a token."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import msgspec
import pytest
from openapi_spec_validator import validate

from landscape.contract import contract
from landscape.minting import mint_settings
from landscape.programs import Aggregator
from whence_aggregator.settings.server import Settings, parse_settings
from whence_aggregator.settings.witness import parse_witness_settings
from whence_aggregator.wiring.audit import opened_witness
from whence_aggregator.wiring.front import opened_registry
from whence_aggregator.wiring.mint import opened_mint
from whence_aggregator.wiring.serve import opened_aggregator
from whence_common.note import Signer

PROBES = {
    (method, path) for method in ("GET", "HEAD") for path in ("/health", "/.well-known/health", "/ready", "/metrics")
}
STUPS = "/teams/{id}"
"""Of the team service, which the aggregator serves whether or not there is a front."""
FRONT = ("/v1/token", "/v1/whoami", "/v1/sign-in", "/v2", "/teams", "/tags", "/stats", "/v1/repositories")


def documented(*, of_a_witness: bool) -> set[tuple[str, str]]:
    return {(one.method, one.path) for one in contract().operations if bool(one.servers) == of_a_witness}


def settings_of(directory: Path) -> Settings:
    text = f"""
audience: https://whence.example.org
accounts: ["123456789012"]
database: sqlite://{directory}/ledger.db
heartbeat_secret_file: {directory}/heartbeat.secret
log_key_file: {directory}/log.key
checkpoint_file: {directory}/log.checkpoint
tokens_file: {directory}/tokens
sts: "off"
console: true
registry_front: {{name: pierone.example.org, backend: "http://127.0.0.1:1"}}
mint: {json.dumps(mint_settings(directory))}
"""
    (directory / "tokens").touch(mode=0o600)
    return parse_settings(text.encode(), name="aggregator.yaml")


def on(_: int) -> None:
    raise AssertionError("nothing listens in these tests")


def test_the_document_is_valid_openapi() -> None:
    validate(dict(contract().document))


async def test_the_aggregator_serves_what_the_document_lists_and_nothing_else(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    async with opened_aggregator(settings, read=lambda: settings, database_location=None, listening=on) as program:
        pages = {one for one in program.server.routes if one[1].startswith("/console")}
        assert ("GET", "/console/") in pages
        assert program.server.routes - pages == documented(of_a_witness=False)


async def test_the_front_alone_serves_the_registrys_part_of_it(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    async with opened_registry(settings, read=lambda: settings, database_location=None, listening=on) as program:
        listed = {
            (method, path)
            for method, path in documented(of_a_witness=False)
            if path.startswith(FRONT) and path != STUPS
        }
        assert program.server.routes == listed | PROBES


async def test_mint_alone_serves_its_storage_api_at_the_root_and_credentials(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    async with opened_mint(settings, read=lambda: settings, database_location=None, listening=on) as program:
        listed = {
            (method, path.removeprefix("/mint"))
            for method, path in documented(of_a_witness=False)
            if path.startswith(("/mint/", "/v1/credentials", "/v1/whoami", "/v1/sign-in", "/v1/token"))
        }
        assert program.server.routes == listed | PROBES


async def test_beside_mint_alone_credentials_are_shown_and_the_storage_api_is_not_served(tmp_path: Path) -> None:
    given = settings_of(tmp_path)
    assert given.mint is not None
    settings = msgspec.structs.replace(given, mint=msgspec.structs.replace(given.mint, alone=True))
    (tmp_path / "mint.key").unlink()  # only mint alone reads it
    async with opened_aggregator(settings, read=lambda: settings, database_location=None, listening=on) as program:
        served = {one for one in program.server.routes if not one[1].startswith("/console")}
        assert served == {one for one in documented(of_a_witness=False) if not one[1].startswith("/mint/")}


async def test_a_witness_serves_its_part_of_it(tmp_path: Path) -> None:
    log = Signer("whence.example.org", b"l" * 32).verifier
    text = f'name: w.example.org\nlog_keys: ["{log}"]\nstate_directory: {tmp_path}\n'
    settings = parse_witness_settings(text.encode(), name="witness.yaml")
    async with opened_witness(settings, read=lambda: settings, listening=on) as program:
        assert program.server.routes == documented(of_a_witness=True) | PROBES


@pytest.fixture
async def known(lone: Aggregator) -> AsyncIterator[aiohttp.ClientSession]:
    async with lone.session() as session:
        yield session


async def test_a_token_is_required_exactly_where_the_document_lists_it(
    known: aiohttp.ClientSession, lone: Aggregator
) -> None:
    async with aiohttp.ClientSession() as nobody:
        for one in contract().operations:
            if one.servers:
                continue
            url = lone.url + re.sub(r"\{.*?\}", "x", one.path)
            security = one.definition.get("security", contract().document["security"])
            async with nobody.request(one.method, url) as answer:
                assert (answer.status == 401) == (bool(security) and {} not in security), one
