"""What an engine's words mean: recorded from Docker 20.10 to 28, containerd and Podman."""

from __future__ import annotations

import pytest

from whence_agent.adapters.engine_errors import away, call_refused, pull_refused
from whence_agent.adapters.engine_version import choose_version

REPOSITORY, DIGEST = "registry.example.org/zstd/denied", "sha256:" + "4" * 64


@pytest.mark.parametrize(
    "words",
    [
        "toomanyrequests: You have reached your pull rate limit.",
        "toomanyrequests: pull access denied for now",
        "received unexpected HTTP status: 429 Too Many Requests",
        "received unexpected HTTP status: 503 Service Unavailable",
        "error parsing HTTP 502 response body: invalid character '<' looking for beginning of value",
        'Get "https://registry.example.org/v2/": dial tcp: lookup registry.example.org: no such host',
        'Get "https://registry.example.org/v2/": dial tcp 10.0.0.1:443: connect: connection refused',
        'Get "https://registry.example.org/v2/": net/http: TLS handshake timeout',
        'Get "https://registry.example.org/v2/": context deadline exceeded (Client.Timeout exceeded)',
        "error parsing HTTP 403 response body: invalid character '<' looking for beginning of value: \"<html>\"",
        "unexpected EOF",
        "EOF",
        "filesystem layer verification failed for digest sha256:5555",
        "unknown blob",
        "unexpected media type text/html for sha256:5555: not found",
        "x509: certificate has expired or is not yet valid: current time 1970-01-01T00:00:41Z is before 2026",
        "failed to copy: httpReadSeeker: failed open: server message: unavailable",
        "connection error: desc = \"transport: Error while dialing dial unix /run/containerd/containerd.sock\"",
        "words that nobody has seen before",
    ],
)  # fmt: skip
def test_a_transient_error_of_a_pull_is_retryable(words: str) -> None:
    assert pull_refused(REPOSITORY, DIGEST, words).retryable


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (f"manifest for {REPOSITORY}@{DIGEST} not found: manifest unknown: manifest unknown", "image-unknown"),
        (f'failed to resolve reference "{REPOSITORY}@{DIGEST}": {REPOSITORY}@{DIGEST}: not found', "image-unknown"),
        (f"initializing source docker://{REPOSITORY}: reading manifest: manifest unknown: manifest unknown", "image-unknown"),
        ("pull access denied for a/b, repository does not exist or may require 'docker login': denied: requested access to "
         "the resource is denied", "engine-pull-denied"),
        ("unauthorized: authentication required", "engine-unauthorised"),
        ('Head "https://registry.example.org/v2/a/b/manifests/1": no basic auth credentials', "engine-unauthorised"),
        ("denied: Your authorization token has expired. Reauthenticate and try again.", "engine-unauthorised"),
        ("no matching manifest for linux/arm64/v8 in the manifest list entries", "image-platform"),
        ('image operating system "windows" cannot be used on this platform', "image-platform"),
        ("failed to register layer: Error processing tar file(exit status 1): archive/tar: invalid tar header",
         "image-compression"),
        ("mediaType in manifest should be 'application/vnd.docker.distribution.manifest.v2+json' not ''", "image-media-type"),
        ("manifest unknown: OCI manifest found, but accept header does not support OCI manifests", "image-media-type"),
        ("invalid reference format", "image-form"),
        ("http: server gave HTTP response to HTTPS client", "engine-insecure-registry"),
        ("x509: certificate signed by unknown authority", "engine-untrusted-registry"),
    ],
)  # fmt: skip
def test_a_permanent_error_of_a_pull_states_its_fix(words: str, code: str) -> None:
    error = pull_refused(REPOSITORY, DIGEST, words)
    assert (error.code, error.retryable, bool(error.fix)) == (code, False, True)


def test_a_full_disk_is_tried_again_after_a_while_since_each_try_downloads_again() -> None:
    error = pull_refused(REPOSITORY, DIGEST, "write /var/lib/docker/tmp/GetImageBlob1: no space left on device")
    assert (error.code, error.retryable, error.retry_after_seconds) == ("engine-disk-full", True, 15.0)
    assert "docker system df" in error.fix


def test_the_urls_in_an_engines_words_show_no_signature_and_hide_no_cause() -> None:
    signed = "https://robot:hunter2@layers.s3.amazonaws.com/a/data?X-Amz-Security-Token=" + "S3CRET" * 200 + "&x=401"
    words = f'failed to copy: httpReadSeeker: failed open: Get "{signed}": dial tcp 10.0.0.1:443: i/o timeout'
    for error in (pull_refused(REPOSITORY, DIGEST, words), call_refused(500, words)):
        assert 'Get "https://layers.s3.amazonaws.com/a/data": dial tcp 10.0.0.1:443: i/o timeout' in error.message
        assert ("S3CRET" in error.message, "hunter2" in error.message, error.retryable) == (False, False, True)


def test_the_names_of_an_image_are_no_words_of_the_engine() -> None:
    assert pull_refused(REPOSITORY, DIGEST, f'Get "https://{REPOSITORY}": EOF').retryable


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (409, "removal of container c0ffee is already in progress"),
        (409, 'Conflict. The container name "/taupageapp" is already in use by container "c0ffee"'),
        (500, "driver failed programming external connectivity on endpoint: Bind for 0.0.0.0:80: port is already allocated"),
        (500, 'connection error: desc = "transport: Error while dialing dial unix /run/containerd/containerd.sock: connect: '
              'no such file or directory": unavailable'),
        (500, "transport is closing: unavailable"),
        (503, ""),
        (429, "too many requests"),
    ],
)  # fmt: skip
def test_a_transient_error_of_a_start_is_retryable(status: int, words: str) -> None:
    assert call_refused(status, words).retryable


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (404, "No such image: registry.example.org/a/b"),
        (400, "invalid mount config for type bind: bind source path does not exist"),
        (400, 'exec: "/nothing": stat /nothing: no such file or directory: unknown'),
        (500, 'crun: executable file `/nothing` not found in $PATH: No such file or directory'),
        (500, "unable to find user nobody: no matching entries in passwd file"),
        (500, "exec /bin/app: exec format error"),
        (500, 'could not select device driver "" with capabilities: [[gpu]]'),
    ],
)  # fmt: skip
def test_what_cannot_pass_at_a_start_ends_it(status: int, words: str) -> None:
    assert not call_refused(status, words).retryable


def test_a_socket_that_is_not_there_may_come_and_one_that_is_forbidden_stays_so() -> None:
    absent = away("unix:///run/docker.sock", wrapped(FileNotFoundError(2, "No such file or directory")))
    assert (absent.code, absent.retryable) == ("engine-unreachable", True)
    assert absent.message == "the Docker Engine at unix:///run/docker.sock is unreachable (the socket does not exist)"
    assert "apt-get install docker.io" in absent.fix
    denied = away("unix:///run/docker.sock", wrapped(PermissionError(13, "Permission denied")))
    assert (denied.code, denied.retryable) == ("engine-denied", False)


def wrapped(cause: OSError) -> Exception:
    """Give an error as requests and the SDK make it: the system's is in arguments and causes."""
    try:
        try:
            raise ConnectionError("Connection aborted.", cause)
        except ConnectionError as exc:
            raise RuntimeError("Error while fetching server API version") from exc
    except RuntimeError as exc:
        return exc


@pytest.mark.parametrize(
    ("newest", "oldest", "spoken"),
    [
        ("1.41", "1.12", "1.41"),
        ("1.41", "1.24", "1.41"),
        ("1.45", "1.24", "1.45"),
        ("1.51", "1.24", "1.51"),
        ("1.54", "1.44", "1.51"),
        ("1.70", "1.60", "1.60"),
        ("", "", "1.51"),
        ("junk", "9999.1", "1.51"),
    ],
)
def test_the_newest_version_that_both_sides_support_is_used(newest: str, oldest: str, spoken: str) -> None:
    assert choose_version(newest=newest, oldest=oldest) == spoken
