"""whence-agent at the keyboard: what it prints, how it ends, and berry's command line as it was."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from landscape.processes import ended, started
from landscape.programs import BIN
from landscape.whole import Landscape
from whence_common.runtime.pause import pause

GOOD = """#taupage-ami-config
application_id: pay-api
application_version: "1.2"
runtime: Docker
source: registry.example.org/pay/api:1.2
"""
USER = {"application_username": "u", "application_password": "hunter2hunter2", "more": "kept"}
CLIENT = {"client_id": "c", "client_secret": "s3cret-s3cret"}
BUCKET = "berry-stups-mint"


async def command(*arguments: str | Path, **environment: str) -> tuple[int, str]:
    done = await ended(BIN / "whence-agent", *arguments, environment=environment, merged=True)
    return done.code, done.out


async def judged(text: bytes, *arguments: str | Path) -> tuple[int, str]:
    """Run `whence-agent validate -` with a text on its standard input."""
    process = await asyncio.create_subprocess_exec(
        BIN / "whence-agent", "validate", "-", *arguments,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate(text)
    return process.returncode or 0, output.decode()


# --- validate, schema, explain


async def test_standard_input_is_judged(tmp_path: Path) -> None:
    code, text = await judged(GOOD.encode())
    assert (code, text.splitlines()[-1]) == (0, "standard input: valid, 0 errors, 1 warnings")
    assert (await judged(b"nonsense"))[0] == 1
    assert (await command("validate", tmp_path / "absent"))[0] == 2


async def test_code_hosts_get_sarif() -> None:
    text = GOOD + "ports: [1]\nnotify_cfn: {stack: a}\n"
    code, output = await judged(text.encode(), "--format", "sarif")
    document = json.loads(output)
    (run,) = document["runs"]
    assert (code, document["version"], run["tool"]["driver"]["name"]) == (1, "2.1.0", "whence-agent")
    found = [(result["ruleId"], result["level"]) for result in run["results"]]
    assert ("mapping-expected", "error") in found
    assert ("notify-cfn-incomplete", "warning") in found
    first = next(result for result in run["results"] if result["ruleId"] == "mapping-expected")
    assert first["locations"][0]["physicalLocation"]["region"] == {"startLine": 6, "startColumn": 8}
    assert {rule["id"] for rule in run["tool"]["driver"]["rules"]} == {rule for rule, _ in found}


async def test_the_platforms_word_makes_doubts_errors_or_nothing(tmp_path: Path) -> None:
    config, text = tmp_path / "agent.yaml", (GOOD + "privileged: true\n").encode()
    assert (await judged(text))[0] == 0
    strict = "aggregator_url: https://w.example.org\nregistries: {registry.example.org: {immutable_tags: true}}\n"
    config.write_text(strict, encoding="utf-8")
    assert (await judged(text, "--config", config))[0] == 1
    config.write_text(strict + "allow_privileged: true\n", encoding="utf-8")
    assert (await judged(text, "--config", config))[0] == 0
    config.write_text("nonsense: 1\n", encoding="utf-8")
    assert (await judged(text, "--config", config))[0] == 2


@pytest.mark.parametrize(
    "key, says",
    [
        ("mounts", "mounts.*.erase_on_boot"),
        ("mounts./data.partition", "mounts.*.partition: text"),
        ("notify_cfn.stack", "Stack name."),
        ("docker_daemon_access", "why they differ"),
        ("memory", "Taupage had no such key."),
    ],
)
async def test_a_key_is_explained(key: str, says: str) -> None:
    code, text = await command("explain", key)
    assert code == 0
    assert says in text


async def test_a_key_there_is_none_of_gets_a_suggestion() -> None:
    code, text = await command("explain", "enviroment")
    assert (code, "environment" in text) == (64, True)
    code, text = await command("explain")
    assert code == 0
    assert len(text.splitlines()) > 150


# --- credentials: berry's command line


@pytest.fixture(scope="module")
async def bucket(scape: Landscape) -> str:
    await scape.aws.put_credentials(BUCKET, "pay-api", {"user.json": USER, "client.json": CLIENT})
    await scape.aws.put_credentials(BUCKET, "half", {"user.json": USER})
    return BUCKET


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    file = tmp_path / "credentials-file"
    file.write_text("# off AWS\nother:AKIA0:x\npay-api:AKIA1:secret1secret1\nhalf:AKIA2:y\n", encoding="ascii")
    return file


def off_aws(scape: Landscape, keys: Path) -> tuple[str | Path, ...]:
    return ("-c", keys, "--endpoint-url", scape.aws.url, "--region", "eu-central-1")


async def test_once_writes_both_files_where_berry_wrote_them(
    scape: Landscape, bucket: str, keys: Path, tmp_path: Path
) -> None:
    directory = tmp_path / "meta"
    directory.mkdir()
    (directory / "user.json").write_text("{}", encoding="ascii")
    config = tmp_path / "taupage.yaml"
    config.write_text(f"application_id: pay-api\nmint_bucket: {bucket}\nother: 1\n", encoding="ascii")
    for _ in range(2):
        code, output = await command("credentials", "--once", "-f", config, *off_aws(scape, keys), directory)
        assert (code, "current" in output) == (0, True)
    assert json.loads((directory / "user.json").read_text(encoding="ascii")) == USER
    assert json.loads((directory / "client.json").read_text(encoding="ascii")) == CLIENT
    assert (directory / "user.json").stat().st_mode & 0o777 == 0o440
    assert [path.name for path in (directory / "generations").iterdir()] == ["1"]
    assert "hunter2" not in output


@pytest.mark.parametrize(
    "arguments, code, says",
    [
        (("-a", "pay-api", "-m", "no-such-bucket-here"), 1, "bucket does not exist"),
        (("-a", "half", "-m", BUCKET), 1, "client.json"),
        (("-a", "unlisted", "-m", BUCKET), 2, "no line for unlisted"),
        (("-f", "/nonexistent.yaml"), 2, "pass the application with -a"),
        (("-a", "../x", "-m", BUCKET), 2, "malformed"),
    ],
)
async def test_what_cannot_be_had_is_said_and_nothing_is_written(
    scape: Landscape, bucket: str, keys: Path, tmp_path: Path, arguments: tuple[str, ...], code: int, says: str
) -> None:
    directory = tmp_path / "meta"
    directory.mkdir()
    found, output = await command("credentials", "--once", *arguments, *off_aws(scape, keys), directory)
    assert (found, says in output) == (code, True), output
    assert not (directory / "user.json").exists()
    assert "Traceback" not in output


@pytest.mark.parametrize("content", ["nonsense\n", "a:b\n", ""])
async def test_a_credentials_file_that_is_none_is_refused_without_quoting_it(
    scape: Landscape, tmp_path: Path, content: str
) -> None:
    file = tmp_path / "keys"
    file.write_text(content, encoding="ascii")
    code, output = await command(
        "credentials", "--once", "-a", "pay-api", "-m", BUCKET, *off_aws(scape, file), tmp_path
    )
    assert code == 2
    assert "nonsense" not in output


async def test_a_directory_that_is_not_there_is_refused(scape: Landscape, bucket: str, keys: Path) -> None:
    arguments = ("-a", "pay-api", "-m", bucket, *off_aws(scape, keys), "/nonexistent/meta")
    code, output = await command("credentials", "--once", *arguments)
    assert (code, "create it first" in output) == (2, True)


async def test_it_keeps_on_until_it_is_told_to_stop(scape: Landscape, bucket: str, keys: Path, tmp_path: Path) -> None:
    await scape.aws.put_credentials(bucket, "kept", {"user.json": USER, "client.json": CLIENT})
    keys.write_text("kept:AKIA1:x\n", encoding="ascii")
    directory = tmp_path / "meta"
    directory.mkdir()
    line = [
        BIN / "whence-agent",
        "credentials",
        "-i",
        "1",
        "-a",
        "kept",
        "-m",
        bucket,
        *off_aws(scape, keys),
        directory,
    ]

    async def ready() -> bool:
        return (directory / "client.json").exists()

    async with started("berry", line, logs=tmp_path, ready=ready) as process:
        newer = {**USER, "application_password": "rotated-rotated"}
        await scape.aws.put_credentials(bucket, "kept", {"user.json": newer})
        async with asyncio.timeout(20):
            while json.loads((directory / "user.json").read_text(encoding="ascii")) != newer:
                await pause(0.1)
        second, output = await command(
            "credentials", "--once", "-a", "kept", "-m", bucket, *off_aws(scape, keys), directory
        )
        assert (second, "another process" in output) == (1, True)
        assert await process.stop() == 0
    assert "hunter2" not in process.log.read_text(encoding="utf-8")
