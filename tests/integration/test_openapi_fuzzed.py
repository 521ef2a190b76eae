"""Requests that schemathesis makes up from openapi.yaml: the aggregator and its registry front keep to the document."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import yaml

from fakes.signing_authority import SigningAuthority
from landscape.front import registry_front
from landscape.minting import mint_settings
from landscape.programs import BIN

SEED = 19
EXAMPLES_MAX = 5
"""Of an operation, beside about twenty that follow from its definition."""
WITNESS_OPERATIONS = 2
CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance",
    "unsupported_method", "negative_data_rejection", "missing_required_header", "ignored_auth",
)  # fmt: skip
CONFIG = """
[headers]
Authorization = "Bearer {token}"

[cache]
enabled = false

[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx"]

[checks.negative_data_rejection]
expected-statuses = ["4xx"]
"""


@pytest.mark.timeout(600)  # 25 seconds on an idle machine
async def test_made_up_requests_get_the_answers_that_the_document_lists(
    authority: SigningAuthority, tmp_path: Path
) -> None:
    async with registry_front(
        tmp_path, tmp_path, authority_pem={"eu-central-1": authority.pem},
        aggregator_settings={"mint": mint_settings(tmp_path)},
    ) as front:  # fmt: skip
        document, config = tmp_path / "openapi.yaml", tmp_path / "schemathesis.toml"
        document.write_bytes((await front.nobody().ask("GET", "/openapi.yaml")).body)
        config.write_text(CONFIG.format(token=front.aggregator.token))
        process = await asyncio.create_subprocess_exec(
            BIN / "st", "--config-file", config, "run", document, "--url", front.url,
            "--exclude-path-regex", "^/(key|add-checkpoint)$",  # a witness's
            "--phases", "coverage,fuzzing", "--checks", ",".join(CHECKS), "--continue-on-failure", "--no-shrink",
            "--seed", str(SEED), "--max-examples", str(EXAMPLES_MAX), "--generation-deterministic",
            "--warnings", "off", "--no-color",
            cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said = (await process.communicate())[0].decode()
        assert process.returncode == 0, said
        assert f"Tested: {_operations(document) - WITNESS_OPERATIONS}" in said, said


def _operations(document: Path) -> int:
    methods = {"get", "put", "post", "delete", "patch", "head", "options"}
    paths = yaml.safe_load(document.read_text())["paths"]
    return sum(len(methods & operations.keys()) for operations in paths.values())
