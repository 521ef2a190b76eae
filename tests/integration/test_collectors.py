"""The aggregator's sources: a real registry and a real Git server, and those that lie or are away."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import AsyncIterator

import aiohttp
import pytest

from fakes.in_process import FakeSources
from fakes.misbehaving import Answer, misbehaving
from fakes.roads import git_reader, road
from landscape.processes import free_port
from landscape.whole import Landscape
from whence_aggregator.adapters.front_images import FrontImageStores
from whence_aggregator.adapters.layer_stream import Windows
from whence_aggregator.adapters.registry_images import RegistryImages
from whence_aggregator.collect.commit_object import commit_value
from whence_aggregator.collect.image_reader import RegistryImageReader
from whence_aggregator.ports import CommitReader, ImageReader, SourceUnavailable
from whence_common.digest import sha256_digest
from whence_common.scm_source import SourceRepository


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(auto_decompress=False) as opened:
        yield opened


class NoBases:
    """Nothing is known of any image."""

    async def base_of(self, prefixes: list[str]) -> str | None:
        return None

    async def base_with_commit(self, prefixes: list[str], commit: str) -> str | None:
        return None


def reader(session: aiohttp.ClientSession, host: str) -> RegistryImageReader:
    stores = FrontImageStores(others=RegistryImages(sessions={host: road(session, host)}, windows=Windows()), own={})
    return RegistryImageReader(stores=stores, bases=NoBases(), trust={})


async def test_a_registry_that_is_not_configured_is_never_asked(session: aiohttp.ClientSession) -> None:
    with pytest.raises(SourceUnavailable) as caught:
        await reader(session, "known.example.org").said("127.0.0.1:1/demo/x", "sha256:" + "0" * 64, None)
    assert caught.value.code == "registry-not-configured"


def tar(*files: tuple[str, bytes]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name, data in files:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return content.getvalue()


def image_of(*layers: bytes) -> tuple[str, dict[str, Answer]]:
    """Give an image's digest and the answers of a registry that has it; the last layer is the topmost."""
    kind = "application/vnd.oci.image.layer.v1.tar"
    described = [{"mediaType": kind, "digest": sha256_digest(one), "size": len(one)} for one in layers]
    config = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": sha256_digest(b"{}"), "size": 2}
    manifest = json.dumps({"schemaVersion": 2, "config": config, "layers": described}).encode()
    answers = {f"manifests/{sha256_digest(manifest)}": Answer(body=manifest)}
    answers |= {sha256_digest(blob): Answer(body=blob) for blob in (*layers, b"{}")}
    answers[""] = Answer(status=404)
    return sha256_digest(manifest), answers


async def read(session: aiohttp.ClientSession, digest: str, answers: dict[str, Answer]) -> bytes | None:
    async with misbehaving(answers) as host:
        return (await reader(session, host).said(f"{host}/demo/x", digest, None)).scm_source


async def test_the_topmost_layer_wins_plain_or_gzip(session: aiohttp.ClientSession) -> None:
    base, top = tar(("scm-source.json", b"base")), gzip.compress(tar(("./scm-source.json", b"top")))
    assert await read(session, *image_of(base, top, tar(("app", b"")))) == b"top"


async def test_a_whiteout_hides_the_base_images_source(session: aiohttp.ClientSession) -> None:
    assert await read(session, *image_of(tar(("scm-source.json", b"base")), tar((".wh.scm-source.json", b"")))) is None


@pytest.mark.parametrize(
    "top",
    [
        b"no tar at all",
        b"\x1f\x8b broken gzip",
        b"\x28\xb5\x2f\xfd broken zstd",
        gzip.compress(tar(("x", b"y" * 5000)), mtime=0)[:-40],
    ],
)
async def test_an_unreadable_layer_is_unknown_and_never_the_one_below(
    session: aiohttp.ClientSession, top: bytes
) -> None:
    with pytest.raises(SourceUnavailable) as caught:
        await read(session, *image_of(tar(("scm-source.json", b"base")), top))
    assert caught.value.code == "image-layer-unreadable"


async def test_a_registry_that_lies_about_manifest_or_layer_is_caught(session: aiohttp.ClientSession) -> None:
    layer = tar(("scm-source.json", b"x"))
    digest, answers = image_of(layer)
    with pytest.raises(SourceUnavailable, match="do not have this digest"):
        await read(session, digest, {**answers, sha256_digest(layer): Answer(body=tar(("scm-source.json", b"y")))})
    with pytest.raises(SourceUnavailable, match="does not have the requested digest"):
        await read(session, digest, {**answers, f"manifests/{digest}": Answer(body=b'{"layers": []}')})


@pytest.mark.parametrize(
    "answer, code",
    [
        (Answer(status=404), "registry-image-unknown"),
        (Answer(status=404, body=b"<html>", headers={"Content-Type": "text/html"}), "registry-error"),
        (Answer(status=401), "registry-denied"),
        (Answer(status=403), "registry-denied"),
        (Answer(status=500), "registry-error"),
        (Answer(body=b"{}" * 10, cut_off=True), "registry-unreachable"),
        (Answer(endless=True), "registry-no-manifest"),
    ],
)
async def test_a_registry_in_trouble_is_named(session: aiohttp.ClientSession, answer: Answer, code: str) -> None:
    with pytest.raises(SourceUnavailable) as caught:
        await read(session, "sha256:" + "0" * 64, {"": answer})
    assert caught.value.code == code


@pytest.mark.parametrize(
    "manifest", [b"[]", b"{}", b'{"layers": 7}', b'{"layers": [{"digest": "../../etc"}]}', b"[" * 9999]
)
async def test_what_is_no_manifest_is_refused(session: aiohttp.ClientSession, manifest: bytes) -> None:
    with pytest.raises(SourceUnavailable) as caught:
        await read(session, sha256_digest(manifest), {sha256_digest(manifest): Answer(body=manifest)})
    assert caught.value.code == "registry-no-manifest"


async def test_exactly_one_commit_is_fetched_from_a_real_git_server(scape: Landscape) -> None:
    git = git_reader(scape.sources.host)
    for commit, message in zip(scape.sources.commits, (b"DEMO-1", b"DEMO-2", b"Tidy up"), strict=True):
        content = await git.commit(SourceRepository(host=scape.sources.host, path="greeter"), commit)
        assert content is not None
        assert message in content.content


@pytest.fixture(params=["fake", "git"])
def commits(request: pytest.FixtureRequest, scape: Landscape) -> CommitReader:
    """What stands for Git servers in other tests, beside a real one: both keep the same contract."""
    if request.param == "git":
        return git_reader(scape.sources.host, "127.0.0.1:1")
    known = b"tree x\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\nDEMO-1: greet\n"
    return FakeSources(commits={scape.sources.commits[0]: known, "0" * 40: None})


async def test_every_reader_returns_a_commit_or_none_or_unavailable(commits: CommitReader, scape: Landscape) -> None:
    place = SourceRepository(host=scape.sources.host, path="greeter")
    content = await commits.commit(place, scape.sources.commits[0])
    assert content is not None
    assert commit_value(content)["subject"].startswith("DEMO-1")
    assert await commits.commit(place, "0" * 40) is None
    with pytest.raises(SourceUnavailable):
        await commits.commit(SourceRepository(host="127.0.0.1:1", path="greeter"), "1" * 40)


@pytest.fixture(params=["fake", "registry"])
async def images(
    request: pytest.FixtureRequest, session: aiohttp.ClientSession, scape: Landscape
) -> tuple[ImageReader, str, str]:
    """Likewise for registries; gives the digests of an image with a source and of one without."""
    with_source = await scape.build("collected", "1.0", scm=scape.greeter_scm(1))
    without = await scape.build("sourceless", "1.0", scm=None)
    if request.param == "registry":
        return reader(session, scape.registry), with_source.digest, without.digest
    known = {with_source.digest: scape.greeter_scm(1), without.digest: None}
    return FakeSources(images=dict(known)), with_source.digest, without.digest


async def test_every_reader_returns_a_source_or_none_or_unavailable(
    images: tuple[ImageReader, str, str], scape: Landscape
) -> None:
    sources, with_source, without = images
    found = await sources.said(f"{scape.registry}/demo/collected", with_source, None)
    assert found.scm_source == scape.greeter_scm(1)
    assert (await sources.said(f"{scape.registry}/demo/sourceless", without, None)).scm_source is None
    with pytest.raises(SourceUnavailable):
        await sources.said(f"{scape.registry}/demo/collected", "sha256:" + "0" * 64, None)


async def test_this_very_clones_head_can_be_fetched(scape: Landscape) -> None:
    git = git_reader(scape.sources.host)
    content = await git.commit(SourceRepository(host=scape.sources.host, path="whence"), scape.sources.head)
    assert content is not None
    assert scape.sources.head_message.encode().strip() in content.content


async def test_a_commit_that_the_server_does_not_have_returns_none(scape: Landscape) -> None:
    git = git_reader(scape.sources.host)
    assert await git.commit(SourceRepository(host=scape.sources.host, path="greeter"), "0" * 40) is None


async def test_a_repository_that_is_not_there_is_unavailable(scape: Landscape) -> None:
    git = git_reader(scape.sources.host)
    with pytest.raises(SourceUnavailable):
        await git.commit(SourceRepository(host=scape.sources.host, path="nowhere"), "0" * 40)


async def test_a_git_server_that_is_down_or_not_configured_is_unavailable() -> None:
    host = f"127.0.0.1:{free_port()}"
    with pytest.raises(SourceUnavailable) as caught:
        await git_reader(host).commit(SourceRepository(host=host, path="x"), "0" * 40)
    assert caught.value.code == "git-refused"
    with pytest.raises(SourceUnavailable) as caught:
        await git_reader().commit(SourceRepository(host=host, path="x"), "0" * 40)
    assert caught.value.code == "git-not-configured"


@pytest.mark.parametrize(
    "answer", [Answer(status=401), Answer(status=500), Answer(body=b"not git"), Answer(endless=False)]
)
async def test_what_is_no_git_server_is_unavailable(answer: Answer) -> None:
    async with misbehaving(answer) as host:
        with pytest.raises(SourceUnavailable):
            await git_reader(host).commit(SourceRepository(host=host, path="x"), "0" * 40)


async def test_a_redirect_is_not_followed(scape: Landscape) -> None:
    target = f"http://{scape.sources.host}/greeter.git/info/refs?service=git-upload-pack"
    async with misbehaving(Answer(status=302, headers={"Location": target})) as host:
        with pytest.raises(SourceUnavailable):
            await git_reader(host).commit(SourceRepository(host=host, path="greeter"), scape.sources.commits[0])
