"""Where whence-accounts writes: places that it must not replace, files that become too large, and readers that leave."""

from __future__ import annotations

import asyncio
import os
import pty
import shlex
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import boto3
import pytest
from aiohttp import web

from fakes.account_extensions import speak_what_moto_lacks
from fakes.account_world import new_account_id
from fakes.accounts_program import AccountsProgram, accounts_program
from fakes.counted_aws import AwsCall
from landscape.aws import Aws, moto_server

_ROLES = "".join(
    f"""
    app{number}:
      assume_role_policy:
        Version: "2012-10-17"
        Statement: [{{Effect: Allow, Principal: {{Service: ec2.amazonaws.com}}, Action: "sts:AssumeRole"}}]"""
    for number in range(3)
)
_ACCOUNTS = 60


@pytest.fixture(scope="module")
async def moto(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Aws]:
    async with moto_server(tmp_path_factory.mktemp("moto")) as running:
        yield running


@pytest.fixture
async def program(moto: Aws, tmp_path: Path) -> AsyncIterator[AccountsProgram]:
    async with accounts_program(moto.url, tmp_path) as made:
        speak_what_moto_lacks(made.aws)
        configured(made, {"hello": new_account_id()})
        yield made


def configured(program: AccountsProgram, ids: dict[str, str]) -> str:
    sections = "".join(f'  {name}: {{id: "{one}"}}\n' for name, one in ids.items())
    text = f"version: 11\nglobal:\n  regions: [eu-west-1]\n  roles:{_ROLES}\naccounts:\n{sections}"
    (program.folder / "accounts.yaml").write_text(text, encoding="utf-8")
    return text


@pytest.mark.parametrize("place", ["accounts.yaml", "./accounts.yaml", "linked.yaml"])
async def test_a_plan_never_takes_the_place_of_the_configuration(program: AccountsProgram, place: str) -> None:
    before = (program.folder / "accounts.yaml").read_bytes()
    (program.folder / "linked.yaml").hardlink_to(program.folder / "accounts.yaml")
    ended = await program.run("plan", "-o", place)
    assert ended.code == 1
    assert f"{Path(place)} is the configuration: it is not overwritten\n  fix: write another file" in ended.err
    assert ((program.folder / "accounts.yaml").read_bytes(), program.aws.calls) == (before, [])


@pytest.mark.parametrize(
    "place, said",
    [
        ("folder", "folder cannot be written: Is a directory"),
        ("link", "link cannot be written: a link\n  fix: name the file itself"),
        ("dangling", "dangling cannot be written: a link"),
        ("pipe", "pipe cannot be written: not a regular file"),
        ("/dev/null", "/dev/null cannot be written: not a regular file"),
        ("nowhere/p.json", "nowhere/p.json cannot be written: there is no such folder\n  fix: check the folder"),
        ("accounts.yaml/p.json", "accounts.yaml/p.json cannot be written: there is no such folder"),
    ],
)
async def test_a_place_for_no_file_is_refused_before_any_call(program: AccountsProgram, place: str, said: str) -> None:
    (program.folder / "folder").mkdir()
    (program.folder / "kept.json").write_text("kept", encoding="utf-8")
    (program.folder / "link").symlink_to("kept.json")
    (program.folder / "dangling").symlink_to("nothing")
    os.mkfifo(program.folder / "pipe")
    ended = await program.run("plan", "-o", place)
    assert (ended.code, program.aws.calls) == (1, [])
    assert said in ended.err
    assert (program.folder / "kept.json").read_text(encoding="utf-8") == "kept"
    assert (program.folder / "link").is_symlink()


async def test_a_plan_that_does_not_fit_leaves_nothing_behind(program: AccountsProgram) -> None:
    (program.folder / "p.json").write_text("{}", encoding="utf-8")
    there = sorted(one.name for one in program.folder.iterdir())
    program.file_bytes_max = 1024
    ended = await program.run("plan", "-o", "p.json")
    assert ended.code == 1
    assert "p.json cannot be written: File too large\n  fix: check the folder and the free space" in ended.err
    assert sorted(one.name for one in program.folder.iterdir()) == there
    assert (program.folder / "p.json").read_text(encoding="utf-8") == "{}"


async def test_a_journal_line_that_does_not_fit_ends_the_creation_before_its_call(program: AccountsProgram) -> None:
    assert (await program.run("plan", "-o", "p.json")).code == 2
    (program.folder / "p.json.journal").write_bytes(b"\n" * 1020)
    program.file_bytes_max = 1024
    ended = await program.run("apply", "p.json")
    assert ended.code == 1
    assert "the journal p.json.journal cannot be written: File too large" in ended.out
    assert "iam:CreateRole" not in program.aws.writes
    assert not (program.folder / "p.json.report.json").exists()
    program.file_bytes_max = None
    assert (await program.run("apply", "p.json")).code == 0


async def test_an_output_that_is_full_is_1(program: AccountsProgram) -> None:
    code, err = await _shell(program, "{} plan > /dev/full")
    assert (code, err) == (1, "whence-accounts: the output cannot be written: No space left on device\n")


async def test_a_plan_of_many_accounts_names_each_and_ends_for_a_reader_that_leaves(program: AccountsProgram) -> None:
    configured(program, {f"team-{number}": new_account_id() for number in range(_ACCOUNTS)})
    ended = await program.run("plan", "--step", "alias", "-P", "64", "-o", "p.json")
    lines = ended.out.splitlines()
    assert ended.code == 2, ended.err
    assert sum(line.startswith("team-") for line in lines) == _ACCOUNTS
    assert lines[-1].startswith(
        f"0 to create, {_ACCOUNTS} to change, 0 to delete in {_ACCOUNTS} accounts. Plan sha256:"
    )
    assert len(lines) < 5 * _ACCOUNTS
    for command in ("show p.json", "show p.json --json"):
        code, err = await _shell(program, f"{{}} {command} | head -1; echo ${{{{PIPESTATUS[0]}}}} >&2")
        assert code == 0
        assert err in ("141\n", "0\n"), "0: all of it was in the pipe before its reader left"


async def test_a_terminal_shows_the_progress_on_one_line_which_is_cleared_at_the_end(program: AccountsProgram) -> None:
    configured(program, {"one": new_account_id(), "two": new_account_id()})
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("whence-accounts"), "plan", "--step", "alias", cwd=program.folder,
        env=_environment(program), stdout=asyncio.subprocess.DEVNULL, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    code = await process.wait()
    shown = os.read(ours, 65_536).decode()
    os.close(ours)
    assert code == 2
    assert "\r\x1b[Kplanned 1/2  " in shown
    assert "\r\x1b[Kplanned 2/2  " in shown
    assert shown.endswith("\r\x1b[K")
    assert "\n" not in shown


async def test_a_role_that_leads_to_another_account_ends_a_plan_and_an_apply_before_any_write(
    program: AccountsProgram,
) -> None:
    ids = {"hello": new_account_id(), "other": new_account_id()}
    configured(program, ids)
    assert (await program.run("plan", "-o", "p.json")).code == 2
    program.aws.forget()
    sts = boto3.client(
        "sts", endpoint_url=program.aws.backend, region_name="eu-west-1", aws_access_key_id="test",
        aws_secret_access_key="test",
    )  # fmt: skip

    def led_astray(call: AwsCall) -> web.Response | None:
        if ids["hello"] not in call.form.get("RoleArn", ""):
            return None
        role = f"arn:aws:iam::{ids['other']}:role/whence-accounts"
        keys = sts.assume_role(RoleArn=role, RoleSessionName="astray")["Credentials"]
        text = (
            "<AssumeRoleResponse><AssumeRoleResult><Credentials>"
            f"<AccessKeyId>{keys['AccessKeyId']}</AccessKeyId><SecretAccessKey>{keys['SecretAccessKey']}</SecretAccessKey>"
            f"<SessionToken>{keys['SessionToken']}</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration>"
            "</Credentials></AssumeRoleResult></AssumeRoleResponse>"
        )
        return web.Response(text=text, content_type="text/xml")

    program.aws.before = led_astray
    for words in (("plan",), ("apply", "p.json")):
        ended = await program.run(*words)
        assert ended.code == 1
        assert (
            f"account hello has id {ids['hello']}, but its credentials are those of {ids['other']}\n"
            "  fix: correct the id, or the role or profile of its access"
        ) in ended.err
        assert program.aws.writes == []


async def _shell(program: AccountsProgram, script: str) -> tuple[int, str]:
    """Run a line of a shell with the program at `{}`; return its code and what it wrote on stderr."""
    at = shlex.quote(str(Path(sys.executable).with_name("whence-accounts")))
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", script.format(at), cwd=program.folder, stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=_environment(program),
    )  # fmt: skip
    _, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, err.decode()


def _environment(program: AccountsProgram) -> dict[str, str]:
    return {
        "PATH": "/usr/bin:/bin", "HOME": str(program.folder), "LANG": "C.UTF-8", "AWS_ACCESS_KEY_ID": "test",
        "AWS_ENDPOINT_URL": program.aws.url, "AWS_SECRET_ACCESS_KEY": "test",
    }  # fmt: skip
