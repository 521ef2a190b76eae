"""Sample sources and images: a repository with tickets in its commits, this very clone, and images built from both."""

from __future__ import annotations

import asyncio
import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker

from landscape.processes import NotReady, run

_GIT = (
    "git",
    "-c",
    "user.name=Ada",
    "-c",
    "user.email=ada@example.org",
    "-c",
    "safe.directory=*",
    "-c",
    "init.defaultBranch=main",
)
_DOCKERFILE = b'FROM scratch\nCOPY root /\nCOPY scm /\nUSER 999\nSTOPSIGNAL SIGKILL\nEXPOSE 8080\nCMD ["/bin/busybox", "httpd", "-f", "-p", "8080", "-h", "/www"]\n'


@dataclass(frozen=True)
class BuiltImage:
    """An image in the registry: where by tag, and its digest."""

    reference: str
    digest: str


async def sample_repository(directory: Path) -> tuple[Path, list[str]]:
    """Make the sample repository; give the bare one, and its commits from first to last."""
    work, bare = directory / "greeter-work", directory / "greeter.git"
    work.mkdir()
    await run(*_GIT, "init", "-q", ".", cwd=work)
    commits = []
    for number, message in enumerate(
        ("DEMO-1: greet the world\n\nAs agreed in the specification.", "DEMO-2: greet politely", "Tidy up"), start=1
    ):
        (work / "greeting.txt").write_text(f"hello {number}\n", encoding="utf-8")
        await run(*_GIT, "add", ".", cwd=work)
        await run(*_GIT, "commit", "-q", "-m", message, cwd=work)
        commits.append((await run(*_GIT, "rev-parse", "HEAD", cwd=work)).strip())
    await _bare(work, bare)
    return bare, commits


async def this_clone(root: Path, directory: Path) -> tuple[Path, str, str]:
    """Make a bare copy of the repository we run from; give it, its HEAD, and HEAD's message."""
    bare = directory / "whence.git"
    try:
        head = (await run(*_GIT, "rev-parse", "HEAD", cwd=root)).strip()
    except NotReady as exc:
        raise NotReady(f"{root} is not a git clone with a commit: clone the repository to run this") from exc
    message = await run(*_GIT, "log", "-1", "--format=%B", cwd=root)
    await _bare(root, bare)
    await run(*_GIT, "update-ref", "refs/heads/main", head, cwd=bare)  # also where what was cloned is on no branch
    await run(*_GIT, "symbolic-ref", "HEAD", "refs/heads/main", cwd=bare)
    return bare, head, message


async def clone_status(root: Path) -> str:
    """Give the local changes of the repository we run from, as `git status --porcelain` lists them."""
    return (await run(*_GIT, "status", "--porcelain", cwd=root)).rstrip("\n")


async def _bare(source: Path, bare: Path) -> None:
    await run(*_GIT, "clone", "-q", "--bare", "--no-hardlinks", source, bare)
    for option in ("uploadpack.allowFilter", "uploadpack.allowAnySHA1InWant"):
        await run(*_GIT, "config", option, "true", cwd=bare)


def scm_source(url: str, revision: str, *, dirty: str = "") -> bytes:
    """Give scm-source.json as the STUPS tool writes it."""
    document = {
        "url": f"git:{url}",
        "revision": revision + (" (locally modified)" if dirty else ""),
        "author": "ada",
        "status": dirty,
    }
    return json.dumps(document, indent=4).encode()


async def build_and_push(
    engine: str,
    reference: str,
    *,
    scm: bytes | None,
    page: bytes,
    command: tuple[str, ...] | None = None,
    lines: tuple[str, ...] = (),
) -> BuiltImage:
    """Build an image that serves a page with busybox, and push it; give its digest. `lines` end its Dockerfile."""
    context = _context(scm, page, command, lines)
    return await asyncio.to_thread(_build_and_push, engine, reference, context)


def _build_and_push(engine: str, reference: str, context: io.BytesIO) -> BuiltImage:
    repository, _, tag = reference.rpartition(":")
    client = docker.APIClient(base_url=engine, version="auto", timeout=120)
    try:
        for event in client.build(fileobj=context, custom_context=True, tag=reference, rm=True, decode=True):
            _check(event)
        digest = ""
        for event in client.push(repository, tag=tag, stream=True, decode=True):
            _check(event)
            digest = event.get("aux", {}).get("Digest", digest)
        client.remove_image(reference)
        return BuiltImage(reference=reference, digest=digest)
    except docker.errors.DockerException as exc:
        raise NotReady(f"the engine could not build {reference}: {exc}") from exc
    finally:
        client.close()


def _context(scm: bytes | None, page: bytes, command: tuple[str, ...] | None, lines: tuple[str, ...]) -> io.BytesIO:
    dockerfile = _DOCKERFILE
    if command is not None:
        dockerfile = b"FROM scratch\nCOPY root /\nCOPY scm /\nCMD " + json.dumps(command).encode() + b"\n"
    dockerfile += "".join(f"{line}\n" for line in lines).encode()
    busybox = Path("/bin/busybox").read_bytes()
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        _add(tar, "Dockerfile", dockerfile, 0o644)
        _add(tar, "root/bin/busybox", busybox, 0o755)
        _add(tar, "root/www/index.html", page, 0o644)
        _add(tar, "root/www/health", b"ok\n", 0o644)
        if scm is None:
            _add(tar, "scm/no-source", b"", 0o644)
        else:
            _add(tar, "scm/scm-source.json", scm, 0o644)
    context.seek(0)
    return context


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))


def _check(event: dict[str, Any]) -> None:
    if "error" in event:
        raise NotReady(f"the engine failed: {event['error']}")


async def pushed(engine: str, reference: str, *, password: str) -> None:
    """Push an image that the engine has, with a token."""
    await asyncio.to_thread(_push, engine, reference, password)


def _push(engine: str, reference: str, password: str) -> None:
    repository, _, tag = reference.rpartition(":")
    login = {"username": "oauth2", "password": password}
    client = docker.APIClient(base_url=engine, version="auto", timeout=120)
    try:
        for event in client.push(repository, tag=tag, auth_config=login, stream=True, decode=True):
            _check(event)
    except docker.errors.DockerException as exc:
        raise NotReady(f"the engine could not push {reference}: {exc}") from exc
    finally:
        client.close()


async def remove_images(engine: str, registry: str) -> None:
    """Remove from the engine every image that came from this registry."""

    def remove() -> None:
        client = docker.APIClient(base_url=engine, version="auto", timeout=60)
        try:
            for image in client.images():
                names = (image.get("RepoTags") or []) + (image.get("RepoDigests") or [])
                if any(name.startswith(f"{registry}/") for name in names):
                    client.remove_image(image["Id"], force=True)
        finally:
            client.close()

    await asyncio.to_thread(remove)
