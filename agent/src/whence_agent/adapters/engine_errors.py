"""Classify the engine's error messages: transient or permanent, and the fix. No other module parses these. Pure.

The patterns cover Docker from 20.10 on, containerd, Podman and the registries behind them. An unknown error counts as
transient: a needless retry costs seconds, but a boot that ends by a transient error costs the instance.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from dataclasses import dataclass

from whence_agent.ports import ENGINE_UNAUTHORISED, EngineFailed
from whence_common.errors import one_line

ENGINE_AWAY_FIX = "check systemctl status docker; if no Engine is installed: apt-get install docker.io, or docker-ce"
PULL_STALLED = "pull-stalled"
_SPACE_RETRY_SECONDS = 15.0
"""The pause after a full disk: a retry downloads again, and space is not freed within a moment."""
_CAUSES_MAX = 16
_URL_SECRETS = re.compile(r"(https?://)(?:[^\s/@\"']{1,200}@)?([^\s?#\"']*)(?:[?#][^\s\"']*)?")
"""A URL with a signature in its query (S3's and CloudFront's, to which registries redirect), or with a password."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Meaning:
    words: re.Pattern[str]
    code: str
    fix: str = ""
    may_pass: bool = False
    after_seconds: float | None = None


def _means(
    words: str, code: str, fix: str = "", *, may_pass: bool = False, after_seconds: float | None = None
) -> _Meaning:
    pattern = re.compile(words, re.IGNORECASE)
    return _Meaning(words=pattern, code=code, fix=fix, may_pass=may_pass, after_seconds=after_seconds)


_FULL = _means(
    r"no space left on device|disk quota exceeded", "engine-disk-full",
    "free space for the Docker Engine's data (docker system df, docker system prune), or use a larger root volume",
    may_pass=True, after_seconds=_SPACE_RETRY_SECONDS,
)  # fmt: skip
_OTHER_PLATFORM = _means(
    r"exec format error|no matching manifest|does not match the specified platform|cannot be used on this platform"
    r"|no child with platform|no image found in (?:manifest list|image index)",
    "image-platform", "build the image for this machine's architecture, or use an instance type of the image's",
)  # fmt: skip
_PULLS = (
    _FULL,
    _OTHER_PLATFORM,
    _means(r"toomanyrequests|too many requests|\b429\b|rate limit", "engine-pull-throttled",
           "the registry limits pulls: sign in to it, or pull through a mirror", may_pass=True),
    _means(r"\b50[0234]\b|internal server error|bad gateway|service unavailable|gateway time-?out", "engine-pull",
           may_pass=True),
    _means(r"error parsing HTTP 40[34] response body", "engine-pull", may_pass=True),  # a proxy's, not a registry's
    _means(r"unauthorized|authentication required|no basic auth credentials|\b401\b|insufficient_scope|token .*expired",
           ENGINE_UNAUTHORISED, "check that these credentials may pull this image, and the registry's login (sign_in, "
           "dockercfg)"),
    _means(r"requested access to the resource is denied|access denied|\bdenied:|\b403\b|forbidden",
           "engine-pull-denied", "check that these credentials may pull this image"),
    _means(r"accept header does not support", "image-media-type",
           "the registry has this image in a format that the engine does not accept: upgrade the engine"),
    _means(r"manifest unknown|manifest for \S+ not found|name unknown|repository does not exist|pull access denied"
           r"|failed to resolve reference .*not found", "image-unknown",
           "the registry had the image a moment ago: check for a clean-up that deletes images, and push it again"),
    _means(r"zstd|unsupported compression|unknown compression|invalid tar header", "image-compression",
           "the layer is damaged, or its compression is not supported, such as zstd before Docker 23.0 and containerd "
           "1.5: upgrade the engine, or build the image with gzip layers"),
    _means(r"unsupported media ?type|unknown media ?type|mediatype in manifest should be|encountered unknown type",
           "image-media-type",
           "this engine does not support this type of manifest or layer: upgrade it, or build a plain OCI image"),
    _means(r"invalid reference format|schema ?1\b.*(?:deprecated|not supported|removed)", "image-form",
           "build the image with a current tool and push it again"),
    _means(r"server gave HTTP response to HTTPS client", "engine-insecure-registry",
           "add the registry to insecure-registries in /etc/docker/daemon.json, or configure TLS for it"),
    _means(r"certificate signed by unknown authority|certificate is not trusted", "engine-untrusted-registry",
           "add the registry's CA at /etc/docker/certs.d/HOST/ca.crt, or to the system's CAs and restart docker"),
    _means(r"certificate has expired or is not yet valid", "engine-pull", "check this machine's clock (timedatectl)",
           may_pass=True),
)  # fmt: skip
"""The first match counts; other errors, such as `no such host`, `EOF` and `unknown blob`, are transient."""
_CALLS = (
    _FULL,
    _OTHER_PLATFORM,
    _means(r"\bdial(?:ing)?\b|transport is closing|unable to retrieve OCI runtime error", "engine-refused",
           may_pass=True),
    _means(r"executable file not found|no such file or directory|is a directory|not a directory|permission denied"
           r"|unable to find (?:user|group)|no matching entries in (?:passwd|group)", "engine-refused",
           "check command, user and mounts against the image's contents"),
    _means(r"could not select device driver", "engine-refused",
           "install the GPU's container toolkit, or remove gpus from user data"),
)  # fmt: skip
"""The first match counts. An unavailable containerd comes first, since its missing socket is also a missing file. Other
errors are transient if the status is 5xx, or 409 for a removal or a name in use."""


def pull_refused(repository: str, digest: str, words: str) -> EngineFailed:
    """Return the error for a pull that failed in the engine, with the engine's message."""
    words = _shown(words)
    meaning = _meaning(_PULLS, words.replace(digest, "").replace(repository, ""))  # names may match a pattern
    message = f"{repository}@{digest} cannot be pulled: {one_line(words, 300)}"
    if meaning is None:
        return EngineFailed("engine-pull", message)
    return _error(meaning, message)


def pull_stalled(subject: str, seconds: float, so_far: str) -> EngineFailed:
    """Return the error for a pull without progress."""
    where = f" after {so_far}" if so_far else ""
    return EngineFailed(
        PULL_STALLED, f"{subject}: the pull made no progress for {seconds:g} seconds{where}",
        fix="check the registry and journalctl -u docker; pull_stall_seconds_max is the longest time without progress",
    )  # fmt: skip


def call_refused(status: int, words: str) -> EngineFailed:
    """Return the error for any other call that the engine refused with an HTTP status."""
    words = _shown(words)
    message = f"the Docker Engine refused: {one_line(words, 300) or f'HTTP {status}'}"
    meaning = _meaning(_CALLS, words)
    if meaning is not None:
        return _error(meaning, message)
    return EngineFailed("engine-refused", message, retryable=status >= 500 or status in (409, 429))


def away(socket: str, exc: BaseException) -> EngineFailed:
    """Return the error for an engine that does not respond. It is transient unless access to the socket is denied."""
    number = next((one.errno for one in _causes(exc) if isinstance(one, OSError) and isinstance(one.errno, int)), None)
    if number in (errno.EACCES, errno.EPERM):
        return EngineFailed(
            "engine-denied", f"access to the Docker Engine's socket {socket} is denied", retryable=False,
            fix="add the agent's user to the group that owns the socket: usermod -aG docker whence-agent",
        )  # fmt: skip
    why = "the socket does not exist" if number == errno.ENOENT else type(exc).__name__
    return EngineFailed(
        "engine-unreachable", f"the Docker Engine at {socket} is unreachable ({why})", fix=ENGINE_AWAY_FIX
    )


def _shown(words: str) -> str:
    """Return the engine's message without credentials in URLs; the long URLs would also hide the cause after them."""
    return _URL_SECRETS.sub(r"\1\2", words[:16_384])


def _meaning(table: tuple[_Meaning, ...], words: str) -> _Meaning | None:
    return next((one for one in table if one.words.search(words[:4096])), None)


def _error(meaning: _Meaning, message: str) -> EngineFailed:
    return EngineFailed(
        meaning.code, message, fix=meaning.fix, retryable=meaning.may_pass, retry_after_seconds=meaning.after_seconds
    )


def _causes(exc: BaseException) -> Iterator[BaseException]:
    """Yield an error, its causes and its arguments: libraries hide the errno there."""
    waiting, seen = [exc], 0
    while waiting and seen < _CAUSES_MAX:
        one = waiting.pop(0)
        seen += 1
        yield one
        inner = (one.__cause__, one.__context__, *one.args)
        waiting += [found for found in inner if isinstance(found, BaseException)]
