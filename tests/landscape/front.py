"""The registry front as an operator runs it: within an aggregator, on top of Debian's docker-registry; and its clients."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from yarl import URL

from fakes.people import People, people
from landscape.certificates import Certificates
from landscape.contract import checked
from landscape.docker_registry import docker_registry
from landscape.processes import free_port, started
from landscape.programs import BIN, Aggregator, aggregator

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
SCRATCH = "dinosaur"
_BYTES_MAX = 1 << 19


@dataclass(frozen=True, slots=True)
class Said:
    """An answer of the front."""

    status: int
    body: bytes
    headers: Mapping[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The first error's code."""
        return str(self.json["errors"][0]["code"])


@dataclass(frozen=True, slots=True)
class Client:
    """A client of a registry, as somebody. `authorization` empty is nobody."""

    session: aiohttp.ClientSession
    url: str
    authorization: str

    async def ask(self, method: str, path: str, *, body: Any = None, headers: Mapping[str, str] | None = None) -> Said:
        named = {**({"Authorization": self.authorization} if self.authorization else {}), **(headers or {})}
        url = path if path.startswith("http") else self.url + path
        if isinstance(body, bytes) and len(body) > _BYTES_MAX:
            body = io.BytesIO(body)
        async with self.session.request(
            method,
            URL(url, encoded=True),
            data=body,
            headers=named,
            allow_redirects=False,
            middlewares=(checked(self.url),),
        ) as answer:
            return Said(answer.status, await answer.read(), answer.headers.copy())

    async def blob(self, repository: str, content: bytes) -> dict[str, Any]:
        """Upload a blob; give its descriptor."""
        digest = digest_of(content)
        begun = await self.ask("POST", f"/v2/{repository}/blobs/uploads/")
        assert begun.status == 202, begun.body
        sent = await self.ask("PATCH", begun.headers["Location"], body=content)
        assert sent.status == 202, sent.body
        location = sent.headers["Location"]
        ended = await self.ask("PUT", f"{location}{'&' if '?' in location else '?'}digest={digest}")
        assert ended.status == 201, ended.body
        return {"digest": digest, "size": len(content)}

    async def manifest(self, repository: str, *layers: bytes, config: bytes = b"{}", **members: object) -> bytes:
        """Upload the blobs of an image; give a manifest's bytes."""
        described = [{"mediaType": LAYER, **await self.blob(repository, layer)} for layer in layers]
        document = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {"mediaType": OCI_CONFIG, **await self.blob(repository, config)},
            "layers": described,
            **members,
        }
        return json.dumps(document).encode()

    async def put(self, repository: str, reference: str, manifest: bytes, media_type: str = OCI_MANIFEST) -> Said:
        path = f"/v2/{repository}/manifests/{reference}"
        return await self.ask("PUT", path, body=manifest, headers={"Content-Type": media_type})

    async def push(self, repository: str, tag: str, *layers: bytes, **members: Any) -> str:
        """Push an image; give its digest."""
        manifest = await self.manifest(repository, *layers, **members)
        said = await self.put(repository, tag, manifest)
        assert said.status == 201, said.body
        return digest_of(manifest)


@dataclass(frozen=True)
class RunningFront:
    """A front that runs. `host` is its name, `backend` the registry behind, `storage` where that keeps its bytes."""

    aggregator: Aggregator
    host: str
    backend: str
    storage: Path
    people: People
    session: aiohttp.ClientSession
    tls: bool = False

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.host}"

    def client(self, token: str = "", *, basic: bool = False) -> Client:
        """Speak to the front with a token; with the aggregator's own when none is named."""
        token = token or self.aggregator.token
        return Client(self.session, self.url, basic_header("oauth2", token) if basic else f"Bearer {token}")

    def nobody(self) -> Client:
        return Client(self.session, self.url, "")

    @asynccontextmanager
    async def alone(self, logs: Path) -> AsyncIterator[str]:
        """Run the front as a process of its own, with the settings of this one; give its URL."""
        port_file = logs / "registry-port"
        port_file.unlink(missing_ok=True)
        command = [BIN / "whence-aggregator", "registry", "--config", self.aggregator.config, "--port-file", port_file]

        async def ready() -> bool:
            return port_file.exists()

        async with started("registry-alone", command, logs=logs, ready=ready):
            yield f"http://127.0.0.1:{port_file.read_text(encoding='ascii').strip()}"


def basic_header(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def digest_of(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


@asynccontextmanager
async def registry_front(
    directory: Path,
    logs: Path,
    *,
    authority_pem: Mapping[str, bytes],
    backend: str | None = None,
    backend_path: str = "",
    port: int = 0,
    database: str | None = None,
    git_servers: tuple[str, ...] = (),
    certificates: Certificates | None = None,
    aggregator_settings: Mapping[str, Any] | None = None,
    sign_in: Mapping[str, Any] | None = None,
    **settings: object,
) -> AsyncIterator[RunningFront]:
    """Run a front, and what it stands on unless a `backend` is named."""
    port = port or free_port()
    host = f"127.0.0.1:{port}"
    tls: dict[str, Any] = {}
    context: ssl.SSLContext | bool = True
    if certificates is not None:
        tls = {"tls_certificate_file": str(certificates.certificate), "tls_key_file": str(certificates.key)}
        context = ssl.create_default_context(cafile=str(certificates.authority))
    connector = aiohttp.TCPConnector(ssl=context)
    async with people() as services, aiohttp.ClientSession(auto_decompress=False, connector=connector) as session:
        registry = {
            "name": host, "backend": f"http://{backend or ''}", "scratch_teams": [SCRATCH], **settings,
        }  # fmt: skip

        @asynccontextmanager
        async def behind() -> AsyncIterator[str]:
            if backend is not None:
                yield backend
                return
            async with docker_registry(directory, logs) as started:
                yield started

        async with behind() as address:
            registry["backend"] = f"http://{address}{backend_path}"
            async with aggregator(
                directory, logs, authority_pem=authority_pem, port=port, name="front", registry_front=registry,
                database=database, git_servers=git_servers, **tls,
                sign_in={"tokeninfo_url": services.tokeninfo_url, "team_url": services.url, **(sign_in or {})},
                **(aggregator_settings or {}),
            ) as running:  # fmt: skip
                yield RunningFront(running, host, address, directory / "registry", services, session, bool(tls))
