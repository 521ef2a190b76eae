"""The whole landscape in one context: what the demo shows and the acceptance tests use."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import docker

from fakes.metadata_service import MetadataService, credentials
from fakes.signing_authority import SigningAuthority, launched_now
from fakes.sts import StsFront
from landscape.aws import REGION, Aws, moto_server
from landscape.docker_registry import docker_registry
from landscape.engine import docker_engine
from landscape.git_server import git_server
from landscape.images import BuiltImage, build_and_push, remove_images, sample_repository, scm_source, this_clone

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Sources:
    """What the Git server serves: the sample repository's commits, first to last, and this clone's HEAD."""

    host: str
    commits: list[str]
    head: str
    head_message: str

    @property
    def greeter_url(self) -> str:
        return f"http://{self.host}/greeter.git"

    @property
    def clone_url(self) -> str:
        return f"http://{self.host}/whence.git"


@dataclass(frozen=True)
class Landscape:
    """Everything that is there. `directory` is for state, `logs` for logs; both are gone at the end, unless it fails."""

    directory: Path
    logs: Path
    engine: str
    registry: str
    aws: Aws
    sources: Sources
    authority: SigningAuthority
    sts: StsFront

    @property
    def authority_pem(self) -> dict[str, bytes]:
        return {REGION: self.authority.pem}

    async def build(
        self,
        name: str,
        tag: str,
        *,
        scm: bytes | None,
        page: bytes = b"hello\n",
        command: tuple[str, ...] | None = None,
        lines: tuple[str, ...] = (),
    ) -> BuiltImage:
        """Build and push an image to `registry/demo/name:tag`."""
        return await build_and_push(
            self.engine, f"{self.registry}/demo/{name}:{tag}", scm=scm, page=page, command=command, lines=lines
        )

    def greeter_scm(self, commit: int, *, dirty: str = "") -> bytes:
        """Give the scm-source.json of one of the sample's commits, counted from 0."""
        return scm_source(self.sources.greeter_url, self.sources.commits[commit], dirty=dirty)

    @asynccontextmanager
    async def instance(self, user_data: bytes, **document: str) -> AsyncIterator[MetadataService]:
        """Start an instance: known to EC2, with a metadata service of its own."""
        instance_id = await self.aws.run_instance(user_data)
        service = MetadataService(
            instance_id, user_data, self.authority, document=launched_now(instance_id, **document),
            identity_credentials=credentials(await self.sts.keys(instance_id)),
        )  # fmt: skip
        async with service.serve():
            yield service

    async def remove_container(self, name: str) -> None:
        """Remove a container of ours and its sidecars, if they are there."""

        def remove() -> None:
            client = docker.APIClient(base_url=self.engine, version="auto", timeout=60)
            try:
                for found in client.containers(all=True):
                    names = [one.lstrip("/") for one in found.get("Names") or []]
                    if any(one == name or one.startswith(f"{name}-") for one in names):
                        client.remove_container(found["Id"], force=True)
            except docker.errors.NotFound:
                pass
            finally:
                client.close()

        await asyncio.to_thread(remove)


@asynccontextmanager
async def landscape(*, say: Callable[[str], None] = lambda _: None) -> AsyncIterator[Landscape]:
    """Start everything; stop and remove everything at the end. After a failure the logs stay where its note says."""
    directory = Path(tempfile.mkdtemp(prefix="whence-"))
    directory.chmod(0o755)
    logs = directory / "logs"
    logs.mkdir()
    try:
        async with AsyncExitStack() as stack:
            say("Docker Engine")
            engine = await stack.enter_async_context(docker_engine(directory, logs))
            say("registry")
            registry = await stack.enter_async_context(docker_registry(directory, logs))
            stack.push_async_callback(remove_images, engine, registry)
            say("AWS: S3, KMS, STS, EC2 (moto)")
            aws = await stack.enter_async_context(moto_server(logs))
            sts = await stack.enter_async_context(StsFront(aws).serve())
            say("Git server: a sample repository, and this clone")
            repositories = directory / "git"
            repositories.mkdir()
            _, commits = await sample_repository(repositories)
            _, head, message = await this_clone(ROOT, repositories)
            host = await stack.enter_async_context(git_server(repositories))
            yield Landscape(
                directory=directory,
                logs=logs,
                engine=engine,
                registry=registry,
                aws=aws,
                sources=Sources(host=host, commits=commits, head=head, head_message=message),
                authority=SigningAuthority.make(),
                sts=sts,
            )
    except Exception as exc:
        kept = Path(tempfile.mkdtemp(prefix="whence-logs-"))
        shutil.copytree(logs, kept, dirs_exist_ok=True)
        exc.add_note(f"the landscape's logs: {kept}")
        raise
    finally:
        await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)
