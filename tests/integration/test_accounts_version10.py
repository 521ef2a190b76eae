"""The full example of Seven Seconds, made valid: a second run and a dry run make no write call."""

from __future__ import annotations

import asyncio
from pathlib import Path

from fakes.account_extensions import speak_what_moto_lacks
from fakes.account_world import new_account_id
from fakes.accounts_program import accounts_program
from fakes.aws_identity import IdentityOfAccounts
from fakes.version10 import ADMIN, images, prepare, version10
from landscape.aws import moto_server


async def test_a_second_run_and_a_dry_run_of_a_file_of_version_10_write_nothing(tmp_path: Path) -> None:
    async with moto_server(tmp_path, amis=images(tmp_path)) as moto, accounts_program(moto.url, tmp_path) as program:
        speak_what_moto_lacks(program.aws)
        program.aws.extensions |= IdentityOfAccounts().extensions
        ids = {ADMIN: new_account_id()}
        await asyncio.to_thread(prepare, program.aws, ids)
        (tmp_path / "config.yaml").write_text(version10(ids), encoding="utf-8")
        program.aws.forget()
        dry = await program.run("configure", "config.yaml", "*", "--dry-run")
        assert (dry.code, program.aws.writes) == (2, []), dry.out + dry.err
        first = await program.run("configure", "config.yaml", "*")
        assert first.code == 0, first.out + first.err
        assert program.aws.writes
        program.aws.forget()
        second = await program.run("configure", "config.yaml", "*")
        assert (second.code, program.aws.writes) == (0, []), second.out + second.err
        assert [one.action for one in program.aws.calls].count("AssumeRole") == 1, "one for all services"
