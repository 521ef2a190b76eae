"""scm-source.json: parsed leniently, found by layer order, its repository named whatever its URL looks like."""

from __future__ import annotations

import io
import json
import tarfile

import pytest

from whence_common.image_layers import read_layer
from whence_common.image_reference import ImageReference, is_loopback_registry, twice_named
from whence_common.scm_source import ScmSource, ScmSourceInvalid, repository_of

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def source(**changes: object) -> ScmSource:
    document = {
        "url": "git:https://git.example.org/a/b.git",
        "revision": COMMIT,
        "author": "ada",
        "status": "",
        **changes,
    }
    return ScmSource.parse(json.dumps(document).encode())


def test_a_clean_source_names_its_commit() -> None:
    assert source().commit_id == COMMIT
    assert not source().dirty


@pytest.mark.parametrize(
    "changes",
    [
        {"status": " M app.py"},
        {"status": "?? new"},
        {"revision": COMMIT + " (locally modified)"},
        {"revision": COMMIT + "-dirty"},
    ],
)
def test_a_dirty_tree_is_seen_by_status_or_revision(changes: dict[str, object]) -> None:
    assert source(**changes).dirty
    assert source(**changes).commit_id == COMMIT


@pytest.mark.parametrize("status", ["", " ", "false", "FALSE"])
def test_a_clean_status_may_be_blank_or_false(status: str) -> None:
    assert not source(status=status).dirty


@pytest.mark.parametrize("revision", ["", "main", "0123456", COMMIT + "0", "g" * 40])
def test_a_revision_without_a_full_commit_id_has_none(revision: str) -> None:
    assert source(revision=revision).commit_id is None


def test_extra_keys_are_tolerated_and_missing_ones_read_as_empty() -> None:
    found = ScmSource.parse(b'{"url": "x", "more": [1]}')
    assert (found.url, found.revision, found.author) == ("x", "", "")


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"{", b"\xff", b"[" * 9999, b" " * 70_000])
def test_a_malformed_scm_source_is_refused(content: bytes) -> None:
    with pytest.raises(ScmSourceInvalid):
        ScmSource.parse(content)


def test_credentials_in_the_url_are_removed() -> None:
    assert source(url="https://bot:s3cret@git.example.org/a/b").url == "https://git.example.org/a/b"


@pytest.mark.parametrize(
    "url, repository",
    [
        ("git:git@git.example.org:a/b.git", "git.example.org/a/b"),
        ("git@git.example.org:a/b.git", "git.example.org/a/b"),
        ("git:https://git.example.org/a/b.git", "git.example.org/a/b"),
        ("https://user:pw@GIT.example.org/a/b/", "git.example.org/a/b"),
        ("http://127.0.0.1:8080/whence.git", "127.0.0.1:8080/whence"),
        ("ssh://git@git.example.org:22/a/b.git", "git.example.org/a/b"),
        ("git://git.example.org/group/sub/b", "git.example.org/group/sub/b"),
    ],
)
def test_a_repository_is_named_by_where_it_is(url: str, repository: str) -> None:
    assert str(repository_of(url)) == repository


@pytest.mark.parametrize(
    "url",
    [
        "", "x", "file:///etc/passwd", "git:/etc/passwd", "ext::sh -c id", "https://host", "https://h/../x",
        "https://h/-x", "https://h/a b", "http://h:99999/a", "javascript:alert(1)", "https://h/a;b",
    ],
)  # fmt: skip
def test_text_that_is_not_a_repository_is_never_fetched(url: str) -> None:
    assert repository_of(url) is None


def layer(*entries: tuple[str, bytes | None]) -> io.BytesIO:
    """Make a layer; None as the content makes a symlink."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for name, data in entries:
            entry = tarfile.TarInfo(name)
            if data is None:
                entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
            else:
                entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data) if data is not None else None)
    content.seek(0)
    return content


def test_the_file_is_found_at_the_root_only() -> None:
    assert read_layer(layer(("./scm-source.json", b"x"))).content == b"x"
    assert read_layer(layer(("app/scm-source.json", b"x"))).outcome == "absent"


def test_the_last_entry_of_a_layer_wins() -> None:
    assert read_layer(layer(("scm-source.json", b"1"), ("scm-source.json", b"2"))).content == b"2"


@pytest.mark.parametrize("name", [".wh.scm-source.json", ".wh..wh..opq"])
def test_a_whiteout_hides_lower_layers_only(name: str) -> None:
    assert read_layer(layer((name, b""))).outcome == "hidden"
    assert read_layer(layer((name, b""), ("scm-source.json", b"x"))).outcome == "found"


def test_a_link_is_never_followed() -> None:
    assert read_layer(layer(("scm-source.json", None))).outcome == "unreadable"


def test_a_file_too_large_is_unreadable() -> None:
    assert read_layer(layer(("scm-source.json", b"x" * 70_000))).outcome == "unreadable"


def test_a_layer_that_inflates_past_the_bound_is_unreadable() -> None:
    assert read_layer(layer(("big", b"x" * 100_000)), bytes_max=50_000).outcome == "unreadable"


def test_a_layer_cut_off_is_unreadable() -> None:
    whole = layer(("big", b"x" * 100_000)).read()
    assert read_layer(io.BytesIO(whole[:50_000])).outcome == "unreadable"
    assert read_layer(io.BytesIO(b"no tar at all")).outcome == "unreadable"


def test_an_image_reference_comes_back_as_written() -> None:
    for text in (
        "registry.example.org/a/b:1",
        "localhost/a/b:1",
        "127.0.0.1:5000/a/b@sha256:" + "0" * 64,
        "r.example.org/a/b:1@sha256:" + "0" * 64,
    ):
        assert str(ImageReference.parse(text)) == text


@pytest.mark.parametrize(
    "text, canonical",
    [
        ("docker.io/nginx:1.25", "docker.io/library/nginx:1.25"),
        ("index.docker.io/nginx:1.25", "docker.io/library/nginx:1.25"),
        ("registry-1.docker.io/library/nginx:1.25", "docker.io/library/nginx:1.25"),
        ("Index.Docker.io/nginx:1.25", "docker.io/library/nginx:1.25"),
        ("index.docker.io/bitnami/nginx@sha256:" + "0" * 64, "docker.io/bitnami/nginx@sha256:" + "0" * 64),
        ("docker.io:443/nginx:1", "docker.io:443/nginx:1"),
        ("docker.io.example.org/nginx:1", "docker.io.example.org/nginx:1"),
        ("registry.example.org/nginx:1", "registry.example.org/nginx:1"),
        ("Registry.example.org/a/b:1", "Registry.example.org/a/b:1"),
    ],
)
def test_docker_hubs_names_are_one_and_others_stay_as_written(text: str, canonical: str) -> None:
    assert str(ImageReference.parse(text).canonical()) == canonical
    assert str(ImageReference.parse(text)) == text, "what was recorded is read as it was recorded"


def test_registries_that_are_named_twice_are_found() -> None:
    named = ["index.docker.io", "r.example.org", "docker.io", "R.example.org"]
    assert twice_named(named) == ["docker.io and index.docker.io"]


@pytest.mark.parametrize(
    "registry, loopback", [("127.0.0.1:5000", True), ("localhost", True), ("10.0.0.1:5000", False)]
)
def test_only_loopback_is_reached_without_tls(registry: str, loopback: bool) -> None:
    assert is_loopback_registry(registry) is loopback
