"""The README's chapter on PostgreSQL, followed literally on a real server with TLS, passwords and least rights."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import asyncpg
import pytest

from fakes.agent_client import AgentClient
from fakes.machine import Machine
from fakes.signing_authority import SigningAuthority
from landscape.certificates import Certificates, loopback_certificates
from landscape.postgres import postgres
from landscape.processes import free_port
from landscape.programs import BIN, Aggregator, aggregator
from landscape.whole import ROOT
from whence_aggregator.check.programs import Surroundings, check_serve
from whence_aggregator.ports import StorageUnavailable
from whence_aggregator.settings.server import read_settings
from whence_aggregator.storage.postgres import PostgresDatabase
from whence_common.clock import utc_now
from whence_common.problems import Problem

_OWNER, _SERVICE = "0wner-p%ss", "s3rvice p@ss"
_WRITTEN = "s3rvice%20p%40ss"


def chapter() -> str:
    text = (ROOT / "aggregator/README.md").read_text(encoding="utf-8")
    return text.partition("\n## PostgreSQL\n")[2].partition("\n## ")[0]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", chapter(), re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Server:
    """A PostgreSQL as the chapter has it, before its first command."""

    superuser: str
    certificates: Certificates
    work: Path

    def written(self, text: str) -> str:
        """Put this server's name and authority where the chapter has an example's."""
        port = self.superuser.rsplit(":", 1)[1].partition("/")[0]
        return text.replace("db.example.org", f"localhost:{port}").replace(
            "/etc/whence/database-ca.pem", str(self.certificates.authority)
        )

    @property
    def service(self) -> str:
        """The DSN of the file aggregator.env."""
        return self.written(blocks("text")[1].strip().partition("=")[2]).replace("PASSWORD", _WRITTEN)

    async def psql(self, script: str, *, database: str = "postgres", typed: str = "") -> None:
        """Run a block of the chapter in psql, as a person who types the passwords would."""
        file = self.work / "block.sql"
        file.write_text(script, encoding="utf-8")
        process = await asyncio.create_subprocess_exec(
            "psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", f"--file={file}",
            self.superuser.rsplit("/", 1)[0] + f"/{database}",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,  # without a terminal psql asks for passwords on its input
        )  # fmt: skip
        output, _ = await process.communicate(typed.encode())
        assert process.returncode == 0, output.decode()

    async def check(self, dsn: str, *settings: str) -> list[Problem]:
        """Check with these settings; give what is said of the database."""
        text = "\n".join(
            ["audience: https://whence.example.org", 'accounts: ["123456789012"]', "listen_port: 0", *settings]
        )
        around = Surroundings(database_location=dsn, now=utc_now)
        found = await check_serve(read_settings(text.encode(), name="a.yaml"), around)
        return [one for one in found if one.message.startswith(("database", "WHENCE_DATABASE"))]


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[Server]:
    with tempfile.TemporaryDirectory(prefix="whence-chapter-") as directory:  # one that PostgreSQL's user may enter
        work = Path(directory)
        work.chmod(0o755)
        async with prepared(work) as made:
            yield made


@asynccontextmanager
async def prepared(work: Path) -> AsyncIterator[Server]:
    """Start a server, and follow the chapter up to the first command of ours."""
    certificates = await loopback_certificates(work)
    lines = blocks("text")[0].replace("10.0.0.0/8", "127.0.0.1/32")

    def prepare(home: Path) -> Sequence[str]:
        key = home / "server.key"
        shutil.copyfile(certificates.key, key)
        key.chmod(0o600)
        if os.geteuid() == 0:
            shutil.chown(key, "postgres", "postgres")
        (home / "pg_hba.conf").write_text(f"host all postgres 127.0.0.1/32 trust\n{lines}", encoding="utf-8")
        return ("ssl=on", f"ssl_cert_file={certificates.certificate}", f"ssl_key_file={key}")

    async with postgres(work, work, superuser="postgres", prepare=prepare) as superuser:
        made = Server(superuser, certificates, work)
        await made.psql(blocks("sql")[0], typed=f"{_OWNER}\n{_OWNER}\n{_SERVICE}\n{_SERVICE}\n")
        yield made


async def test_the_chapter_makes_a_database_that_the_service_uses_and_cannot_rewrite(
    server: Server, authority: SigningAuthority, tmp_path: Path
) -> None:
    # Before the owner has made the tables, the service may not.
    (problem,) = await server.check(server.service)
    assert (problem.severity, problem.code) == ("error", "database-rights")
    assert "run `whence-aggregator migrate` as the role that owns the database" in problem.fix
    with pytest.raises(StorageUnavailable) as caught:
        await PostgresDatabase.open(server.service)
    assert "PostgreSQL denies the role a right" in caught.value.message
    assert "whence-aggregator migrate" in caught.value.fix

    config = tmp_path / "a.yaml"
    config.write_text("audience: https://whence.example.org\naccounts: ['123456789012']\n", encoding="utf-8")
    (command,) = blocks("sh")
    environment = {"PATH": f"{BIN}:{os.environ['PATH']}", "PGPASSWORD": _OWNER}
    assert "has the tables" in await shell(f"{server.written(command.strip())} --config {config}", environment)
    await server.psql(blocks("sql")[1], database="whence")

    assert await server.check(server.service) == []
    pem = {"eu-central-1": authority.pem}
    async with aggregator(tmp_path, tmp_path, authority_pem=pem, database=server.service) as running:
        async with aiohttp.ClientSession() as session:
            client = AgentClient(session, running.url)
            machine = Machine(authority)
            assert (await client.enrol(machine))[0] == 201
            assert (await client.say(machine))[0] == 201
        assert (await running.get("/v1/instances"))["instances"] != []
        assert "clean" in await ledger(running, "check", server.service)
        assert "were rebuilt" in await ledger(running, "rebuild", server.service)
        assert "clean" in await ledger(running, "check", server.service)

    connection = await asyncpg.connect(server.service)
    try:
        for forbidden in (
            "delete from entry", "truncate entry", "delete from checkpoint", "drop table entry", "create table a (b int)",
            "alter table entry disable trigger all", "update migration set number = 0", "create temporary table a (b int)",
        ):  # fmt: skip
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(forbidden)
    finally:
        await connection.close()


async def test_the_password_is_read_from_a_file_for_each_connection(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "database.password"
    dsn = f"{server.service.replace(f':{_WRITTEN}', '')}&password_file={file}"
    (problem,) = await server.check(dsn)
    assert (problem.severity, f"({file}: No such file" in problem.message) == ("error", True), problem
    file.write_text("hunter2\n", encoding="utf-8")
    (problem,) = await server.check(dsn)
    assert "PostgreSQL refused the password of the role" in problem.message
    assert "password_file" in problem.fix
    with pytest.raises(StorageUnavailable) as caught:
        await PostgresDatabase.open(dsn, "read")
    assert "hunter2" not in caught.value.diagnostics()
    file.write_text(f"{_SERVICE}\n", encoding="utf-8")
    assert await server.check(dsn) == []
    database = await PostgresDatabase.open(dsn, "read")
    file.write_text("hunter2\n", encoding="utf-8")
    try:
        assert await database.pool.fetchval("select current_user") == "whence"  # a connection that is open stays so
    finally:
        await database.close()


async def test_errors_are_reported_with_a_fix_and_without_the_password(server: Server) -> None:
    dsn, table = server.service, chapter().partition("| message |")[2]
    wrong_authority = server.work / "other.pem"
    shutil.copyfile("/etc/ssl/certs/ca-certificates.crt", wrong_authority)
    cases = {
        dsn.replace(_WRITTEN, "hunter2"): "PostgreSQL refused the password of the role",
        re.sub(r"\?.*", "?sslmode=disable", dsn): "PostgreSQL does not let this role in from this address",
        dsn.replace("//whence:", "//nobody:"): "PostgreSQL does not let this role in from this address",
        server.superuser.removesuffix("postgres") + "nothing": "PostgreSQL has no database of this name",
        dsn.replace(
            str(server.certificates.authority), str(wrong_authority)
        ): "the certificate of PostgreSQL is not trusted",
        dsn.replace(
            str(server.certificates.authority), "/none.pem"
        ): "a file or socket that the DSN of PostgreSQL names",
        re.sub(r"localhost:\d+", f"localhost:{free_port()}", dsn): "PostgreSQL",
        dsn.replace("sslmode=verify-full", "sslmode=nonsense"): "the DSN of PostgreSQL cannot be used",
        dsn.replace(
            "sslmode=verify-full", "sslmode=verify-full&sslmod=require"
        ): "an option that PostgreSQL does not know",
        "postgresql://whence:s3cret@[::1/whence": "the DSN of PostgreSQL cannot be used",
    }
    for wrong, expected in cases.items():
        (problem,) = await server.check(wrong)
        assert (problem.severity, problem.code) == ("error", "storage-postgres"), problem
        assert expected in problem.message, problem
        assert problem.fix
        with pytest.raises(StorageUnavailable) as caught:
            await PostgresDatabase.open(wrong)
        assert expected in caught.value.message
        for said in (problem.message + problem.fix, caught.value.diagnostics()):
            assert not any(secret in said for secret in (_SERVICE, _WRITTEN, "hunter2", "s3cret", _OWNER)), said
    for message in re.findall(r"^\| `([^`]+)`", table, re.MULTILINE):
        source = "".join(
            path.read_text(encoding="utf-8") for path in (ROOT / "aggregator/src/whence_aggregator").rglob("*.py")
        )
        assert message in source, f"the README explains a message that there is none of: {message}"


async def test_a_limit_of_connections_is_found_before_it_is_reached_and_reported_when_it_is(server: Server) -> None:
    await server.psql("alter role whence connection limit 5", database="whence")
    try:
        problems = await server.check(server.service, "database_connections_max: 6")
        (problem,) = [one for one in problems if one.code == "database-connections"]
        assert problem.line == 4
        assert "6 is more than the 5 connections that PostgreSQL allows the role whence" in problem.message
        held = [await asyncpg.connect(server.service) for _ in range(5)]
        try:
            with pytest.raises(StorageUnavailable) as caught:
                await PostgresDatabase.open(server.service)
            assert "PostgreSQL has no connection left" in caught.value.message
            assert "database_connections_max" in caught.value.fix
        finally:
            for one in held:
                await one.close()
    finally:
        await server.psql("alter role whence connection limit 50", database="whence")


async def test_no_more_connections_are_opened_than_the_setting_allows(server: Server) -> None:
    administrator = await asyncpg.connect(server.superuser)
    database = await PostgresDatabase.open(server.superuser, connections_max=5)
    try:
        for pool in (database.pool, database.brief, database.writers):
            await asyncio.gather(*(pool.execute("select pg_sleep(0.2)") for _ in range(8)))
        opened = await administrator.fetchval(
            "select count(*) from pg_stat_activity where usename = 'postgres' and pid <> pg_backend_pid()"
            " and backend_type = 'client backend'"
        )
        assert opened == 5
    finally:
        await database.close()
        await administrator.close()


async def test_a_server_that_takes_no_writes_is_named(server: Server) -> None:
    await server.psql("alter role whence set default_transaction_read_only = on", database="whence")
    try:
        problems = await server.check(server.service)
        assert "database-read-only" in [one.code for one in problems]
    finally:
        await server.psql("alter role whence reset default_transaction_read_only", database="whence")


async def shell(command: str, environment: dict[str, str]) -> str:
    process = await asyncio.create_subprocess_shell(
        command, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


async def ledger(running: Aggregator, action: str, dsn: str) -> str:
    environment = {"PATH": os.environ["PATH"], "WHENCE_DATABASE": dsn}
    return await shell(f"{BIN}/whence-aggregator ledger {action} --config {running.config}", environment)
