"""Names from outside are checked where they come in and again where a URL is built of them: none bends a request."""

from __future__ import annotations

import pytest

from whence_aggregator.collect.branches import BranchCollector
from whence_aggregator.collect.collectors import ImageSourceCollector, TagCollector
from whence_aggregator.collect.commits import CommitCollector
from whence_aggregator.collect.protection import ProtectionSources
from whence_aggregator.ports import BranchAnswer, ImageSaid, ProtectedNames
from whence_aggregator.ports_commits import CommitObject
from whence_common.clock import utc_now
from whence_common.errors import InputError
from whence_common.image_reference import (
    ImageReferenceInvalid,
    digest_of_subject,
    image_subject,
    parse_image_subject,
    tag_reference,
)
from whence_common.registry_address import RegistryPlace
from whence_common.registry_requests import url_of
from whence_common.scm_source import RepositoryInvalid, SourceRepository, repository_of

HUB = RegistryPlace(registry="docker.io")
R = RegistryPlace(registry="r.example.org")
DIGEST = "sha256:" + "a" * 64
COMMIT = "c" * 40
BENT = (
    "../../secret/admin?token=1", "..", ".", "", "a/../b", "1.0/../../x", "1.0?x=1", "1.0#x", "1.0%2f..", "a b", "a\n",
    "1.0\r\nHost: x", "ä", "/1.0", "sha256:" + "A" * 64, DIGEST + "\n", "x" * 129, "-x", "\x00",
)  # fmt: skip


@pytest.mark.parametrize(
    "place, path, part, name, url",
    [
        (R, "team/app", "manifests", "1.0", "https://r.example.org/v2/team/app/manifests/1.0"),
        (R, "team/app", "manifests", DIGEST, f"https://r.example.org/v2/team/app/manifests/{DIGEST}"),
        (R, "team/app", "blobs", DIGEST, f"https://r.example.org/v2/team/app/blobs/{DIGEST}"),
        (R, "team/app", "referrers", DIGEST, f"https://r.example.org/v2/team/app/referrers/{DIGEST}"),
        (HUB, "nginx", "manifests", "1.25", "https://registry-1.docker.io/v2/library/nginx/manifests/1.25"),
    ],
)
def test_a_url_is_built_of_names(place: RegistryPlace, path: str, part: str, name: str, url: str) -> None:
    assert url_of(place, path, part, name) == url


@pytest.mark.parametrize("bent", BENT)
def test_no_url_is_built_of_a_bent_name(bent: str) -> None:
    for part in ("manifests", "blobs", "referrers"):
        with pytest.raises(ImageReferenceInvalid):
            url_of(R, "team/app", part, bent)
    if bent != "..":
        with pytest.raises(ImageReferenceInvalid):
            url_of(R, f"team/{bent}/app?", "manifests", "1.0")
    with pytest.raises(ImageReferenceInvalid):
        url_of(R, "team/app", bent, DIGEST)
    with pytest.raises(ImageReferenceInvalid):
        url_of(R, "team/app", "blobs", "1.0")


@pytest.mark.parametrize(
    "source",
    [
        "r.example.org/../../secret/admin?token=1:x", "r.example.org/team/app:../../x", "r.example.org/team/app:1?x",
        "r.example.org/Team/app:1", "r.example.org:99999/team/app:1", "team:1", "r.example.org/team/app", ":", "",
        f"r.example.org/team/app:1@{DIGEST}", "user@r.example.org/team/app:1", "[::1]/team/app:1",
        "r.example.org/team/app:1\n",
    ],
)  # fmt: skip
def test_a_source_that_names_no_image_by_its_tag_asks_no_question(source: str) -> None:
    assert tag_reference(source) is None


def test_a_malformed_index_digest_is_omitted_from_a_subject() -> None:
    assert image_subject("r.example.org/team/app", DIGEST, "../../x") == f"r.example.org/team/app@{DIGEST}"
    assert parse_image_subject(f"r.example.org/team/app@{DIGEST}^{DIGEST}") == (
        "r.example.org/team/app",
        DIGEST,
        DIGEST,
    )
    for bent in (f"@{DIGEST}", f"r.example.org/../x@{DIGEST}", f"r.example.org/a@{DIGEST}^../..", "r.example.org/a@x"):
        with pytest.raises(ImageReferenceInvalid):
            parse_image_subject(bent)
    assert digest_of_subject(f"what/ever@{DIGEST}^../..") == DIGEST


@pytest.mark.parametrize(
    "url",
    [
        "--upload-pack=touch /tmp/x", "-oProxyCommand=x:a/b", "ssh://-oProxyCommand=x/a/b", "https://-x/a/b",
        "ext::sh -c touch% /tmp/x", "file:///etc/passwd", "/etc/passwd", "https://git.example.org/../admin",
        "https://git.example.org/a/..%2f..%2fadmin", "https://git.example.org/a/%2e%2e/b", "https://git.example.org/-x",
        "https://git.example.org/a?b/../c:", "https://git.example.org/a\n/b", "https://git.example.org/a b/c",
        "fd::17/foo", "https://[::1]/a/b", "git.example.org:--upload-pack=x", "https://git.example.org\\x/a/b",
    ],
)  # fmt: skip
def test_a_source_url_names_no_option_file_or_other_transport(url: str) -> None:
    found = repository_of(url)
    assert found is None or (found.host == "git.example.org" and "." not in found.path and found.path[0] != "-")


@pytest.mark.parametrize(
    "text", ["-x/a", "git.example.org", "git.example.org/", "git.example.org/../a", "git.example.org/-a", "Git.example.org/a",
             "git.example.org/a?b", "git.example.org/a/./b", "a@git.example.org/a", "/a"],
)  # fmt: skip
def test_a_malformed_repository_is_refused(text: str) -> None:
    with pytest.raises(RepositoryInvalid):
        SourceRepository.parse(text)


class _Untouched:
    """Sources that nothing may be asked of."""

    async def said(self, repository: str, digest: str, index_digest: str | None) -> ImageSaid:
        raise AssertionError(f"{repository} was asked")

    async def digest_of(self, reference: str) -> str | None:
        raise AssertionError(f"{reference} was asked")

    async def commit(self, repository: SourceRepository, commit_id: str) -> CommitObject | None:
        raise AssertionError(f"{repository} was asked")

    async def branch(
        self, repository: SourceRepository, commit_id: str, protected: ProtectedNames | None = None
    ) -> BranchAnswer:
        raise AssertionError(f"{repository} was asked")


async def test_a_collector_sends_no_request_for_a_malformed_subject() -> None:
    sources = _Untouched()
    for image in (f"r.example.org/../x@{DIGEST}", f"r.example.org/a@{DIGEST}^../../secret", "x"):
        with pytest.raises(InputError):
            await ImageSourceCollector(sources).collect(image)
    for tag in ("r.example.org/../../secret/admin?token=1:x", "r.example.org/a:b/../../c", "x"):
        with pytest.raises(InputError):
            await TagCollector(sources).collect(tag)
    for commit in (f"git.example.org/../x@{COMMIT}", "git.example.org/a@--upload-pack=x", f"-x/a@{COMMIT}", "x"):
        with pytest.raises(InputError):
            await CommitCollector(sources).collect(commit)
        with pytest.raises(InputError):
            await BranchCollector(sources, ProtectionSources(settings={}, hosts={}, now=utc_now)).collect(commit)
