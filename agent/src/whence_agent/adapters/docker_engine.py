"""The Docker Engine by its API (the docker SDK), in threads. Images are named by digest, arguments never by a shell."""

from __future__ import annotations

import asyncio
import io
import re
import tarfile
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from whence_agent.ports import ContainerSpec, EngineFailed
from whence_common.errors import one_line
from whence_common.statement import ContainerFacts

if TYPE_CHECKING:
    import docker

_FINGERPRINT = "org.whence.fingerprint"
_REQUEST_SECONDS_MAX = 120
_STOP_SECONDS_MAX = 10
_RESTARTS_MAX = 10
_LOG_CONFIG = {"Type": "json-file", "Config": {"max-size": "64m", "max-file": "4"}}
_ARCHIVE_OVERHEAD_BYTES = 64 * 1024

T = TypeVar("T")


class DockerEngine:
    """One engine. The client is made on first use: importing the SDK costs time and memory."""

    def __init__(self, *, socket: str) -> None:
        self._socket = socket
        self._client: docker.APIClient | None = None
        self._making = asyncio.Lock()

    async def close(self) -> None:
        """Close the connection, if there is one."""
        if self._client is not None:
            await asyncio.to_thread(self._client.close)

    async def pull(self, repository: str, digest: str) -> str:
        return await self._call(lambda client: _pull(client, repository, digest))

    async def read_file(self, image: str, path: str, bytes_max: int) -> bytes | None:
        return await self._call(lambda client: _read_file(client, image, path, bytes_max))

    async def run(self, spec: ContainerSpec) -> ContainerFacts:
        return await self._call(lambda client: _run(client, spec))

    async def inspect(self, name: str) -> ContainerFacts | None:
        return await self._call(lambda client: _facts(client, name))

    async def stop(self, name: str) -> None:
        await self._call(lambda client: _remove(client, name))

    async def _call(self, work: Callable[[Any], T]) -> T:
        from docker.errors import APIError, DockerException
        from requests.exceptions import RequestException

        try:
            async with self._making:
                if self._client is None:
                    self._client = await asyncio.to_thread(_connect, self._socket)
            return await asyncio.to_thread(work, self._client)
        except APIError as exc:
            explanation = one_line(str(exc.explanation or exc), 300)
            raise EngineFailed("engine-refused", f"the Docker Engine refused: {explanation}") from exc
        except (DockerException, RequestException, OSError) as exc:
            raise EngineFailed(
                "engine-unreachable",
                f"the Docker Engine at {self._socket} does not answer ({type(exc).__name__})",
                fix="systemctl status docker",
            ) from exc


def _connect(socket: str) -> Any:
    import docker

    return docker.APIClient(base_url=socket, version="auto", timeout=_REQUEST_SECONDS_MAX)


def _pull(client: Any, repository: str, digest: str) -> str:
    for event in client.pull(repository, tag=digest, stream=True, decode=True):
        if "error" in event:
            why = one_line(str(event["error"]), 300)
            raise EngineFailed("engine-pull", f"{repository}@{digest} cannot be pulled: {why}")
    image = client.inspect_image(f"{repository}@{digest}")
    if f"{repository}@{digest}" not in (image.get("RepoDigests") or []):
        raise EngineFailed("engine-wrong-digest", f"the engine pulled something else than {repository}@{digest}")
    return str(image["Id"])


def _read_file(client: Any, image: str, path: str, bytes_max: int) -> bytes | None:
    """Read a file from a container that is created, but never started."""
    from docker.errors import NotFound

    created = client.create_container(image, command=["/nothing-is-run"], network_disabled=True)
    try:
        chunks, stat = client.get_archive(created["Id"], path)
        try:
            return _only_file(_archive(chunks, stat, path, bytes_max))
        finally:
            chunks.close()  # the engine locks the container while an answer is half read, and removing it would wait
            del chunks
    except NotFound:
        return None
    finally:
        client.remove_container(created["Id"], force=True)


def _archive(chunks: Any, stat: dict[str, Any], path: str, bytes_max: int) -> io.BytesIO:
    """Collect the engine's tar of one file, no further than the bound."""
    if stat.get("linkTarget"):
        raise EngineFailed("image-file-link", f"{path} in the image is a link", retryable=False)
    too_large = EngineFailed("image-file-too-large", f"{path} in the image is larger than {bytes_max} bytes")
    if stat["size"] > bytes_max:
        raise too_large
    archive, left = io.BytesIO(), bytes_max + _ARCHIVE_OVERHEAD_BYTES
    for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            raise too_large
        archive.write(chunk)
    return archive


def _only_file(archive: io.BytesIO) -> bytes | None:
    archive.seek(0)
    try:
        with tarfile.open(fileobj=archive, mode="r:") as tar:
            member = tar.next()
            stream = tar.extractfile(member) if member is not None and member.isreg() else None
            return stream.read() if stream is not None else None
    except tarfile.TarError as exc:
        raise EngineFailed("engine-archive", "the engine sent a broken archive") from exc


def _run(client: Any, spec: ContainerSpec) -> ContainerFacts:
    existing = _inspect(client, spec.name)
    if existing is not None:
        labels = existing["Config"].get("Labels") or {}
        if existing["State"]["Running"] and labels.get(_FINGERPRINT) == spec.fingerprint:
            return _to_facts(client, existing)
        _remove(client, spec.name)
    created = client.create_container(
        spec.image,
        name=spec.name,
        user=spec.user,
        environment=dict(spec.environment),
        ports=[(port.container, port.protocol) for port in spec.ports],
        labels={_FINGERPRINT: spec.fingerprint},
        host_config=client.create_host_config(
            binds=[f"{source}:{inside}:ro" for source, inside in spec.mounts.items()],
            port_bindings={
                f"{port.container}/{port.protocol}": [
                    (spec.publish_address, other.host)
                    for other in spec.ports
                    if (other.container, other.protocol) == (port.container, port.protocol)
                ]
                for port in spec.ports
            },
            read_only=spec.read_only,
            tmpfs={"/tmp": "rw,nosuid,nodev"} if spec.read_only else None,  # noqa: S108 - inside the container
            restart_policy={"Name": "on-failure", "MaximumRetryCount": _RESTARTS_MAX},
            log_config=_LOG_CONFIG,
        ),
    )
    try:
        client.start(created["Id"])
    except Exception:
        client.remove_container(created["Id"], force=True)
        raise
    facts = _facts(client, spec.name)
    inspected = _inspect(client, spec.name)
    if facts is None or inspected is None or inspected["Image"] != spec.image_id:
        _remove(client, spec.name)
        raise EngineFailed("engine-wrong-image", f"the engine started another image than {spec.image}")
    return facts


def _facts(client: Any, name: str) -> ContainerFacts | None:
    inspected = _inspect(client, name)
    return None if inspected is None else _to_facts(client, inspected)


def _inspect(client: Any, name: str) -> dict[str, Any] | None:
    from docker.errors import NotFound

    try:
        found: dict[str, Any] = client.inspect_container(name)
    except NotFound:
        return None
    return found


def _to_facts(client: Any, inspected: dict[str, Any]) -> ContainerFacts:
    state = inspected["State"]
    return ContainerFacts(
        name=str(inspected["Name"]).lstrip("/"),
        container_id=str(inspected["Id"]),
        image_digest=_image_digest(client, inspected),
        state=str(state["Status"]),
        started_at=re.sub(r"(\.\d{3})\d*Z$", r"\1Z", str(state.get("StartedAt", ""))),
        exit_code=state.get("ExitCode") if not state.get("Running") else None,
    )


def _image_digest(client: Any, inspected: dict[str, Any]) -> str:
    """Give the digest the container was made from: as it was asked for, else as the engine knows the image."""
    _, at, digest = str(inspected["Config"].get("Image", "")).partition("@")
    if at:
        return digest
    for known in client.inspect_image(inspected["Image"]).get("RepoDigests") or []:
        return str(known).partition("@")[2]
    return ""


def _remove(client: Any, name: str) -> None:
    from docker.errors import NotFound

    try:
        client.stop(name, timeout=_STOP_SECONDS_MAX)
        client.remove_container(name, force=True)
    except NotFound:
        return
