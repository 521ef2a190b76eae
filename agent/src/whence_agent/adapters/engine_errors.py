"""What an engine's refusals mean: which may pass, which cannot, what to do. The one place that reads its words. Pure.

The words are those of Docker from 20.10 on, of containerd, of Podman and of registries behind them. What is not known
may pass: a try too many costs seconds, a boot that ends for a fault of a moment costs the instance.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from dataclasses import dataclass

from whence_agent.ports import ENGINE_UNAUTHORISED, EngineFailed
from whence_common.errors import one_line

ENGINE_AWAY_FIX = "systemctl status docker; where there is no Engine yet: apt-get install docker.io, or docker-ce"
PULL_STALLED = "pull-stalled"
_SPACE_RETRY_SECONDS = 15.0
"""After a full disk: the try before has downloaded in vain, and room does not come within a moment."""
_CAUSES_MAX = 16
_URL_SECRETS = re.compile(r"(https?://)(?:[^\s/@\"']{1,200}@)?([^\s?#\"']*)(?:[?#][^\s\"']*)?")
"""A URL whose query signs in (S3's and CloudFront's, to which registries redirect), or that holds a password."""


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
    "make room where the Docker Engine keeps its data (docker system df, docker system prune), or give the instance a "
    "larger root volume",
    may_pass=True, after_seconds=_SPACE_RETRY_SECONDS,
)  # fmt: skip
_OTHER_PLATFORM = _means(
    r"exec format error|no matching manifest|does not match the specified platform|cannot be used on this platform"
    r"|no child with platform|no image found in (?:manifest list|image index)",
    "image-platform", "build the image for this machine's architecture, or start an instance of the image's",
)  # fmt: skip
_PULLS = (
    _FULL,
    _OTHER_PLATFORM,
    _means(r"toomanyrequests|too many requests|\b429\b|rate limit", "engine-pull-throttled",
           "the registry limits pulls: sign in to it, or pull through a mirror", may_pass=True),
    _means(r"\b50[0234]\b|internal server error|bad gateway|service unavailable|gateway time-?out", "engine-pull",
           may_pass=True),
    _means(r"error parsing HTTP 40[34] response body", "engine-pull", may_pass=True),  # no registry's: a proxy's
    _means(r"unauthorized|authentication required|no basic auth credentials|\b401\b|insufficient_scope|token .*expired",
           ENGINE_UNAUTHORISED, "check that these credentials may pull this image, and how the registry is signed in "
           "to (sign_in, dockercfg)"),
    _means(r"requested access to the resource is denied|access denied|\bdenied:|\b403\b|forbidden",
           "engine-pull-denied", "check that these credentials may pull this image"),
    _means(r"accept header does not support", "image-media-type",
           "the registry has this image in a form that the engine does not ask for: upgrade the engine"),
    _means(r"manifest unknown|manifest for \S+ not found|name unknown|repository does not exist|pull access denied"
           r"|failed to resolve reference .*not found", "image-unknown",
           "the registry had the image a moment ago: find out who deletes there, and push the image again"),
    _means(r"zstd|unsupported compression|unknown compression|invalid tar header", "image-compression",
           "the layer is damaged, or compressed in a way that this engine cannot read, as zstd is before Docker 23.0 "
           "and containerd 1.5: upgrade the engine, or build the image with gzip layers"),
    _means(r"unsupported media ?type|unknown media ?type|mediatype in manifest should be|encountered unknown type",
           "image-media-type",
           "this engine does not know such a manifest or layer: upgrade the engine, or build a plain OCI image"),
    _means(r"invalid reference format|schema ?1\b.*(?:deprecated|not supported|removed)", "image-form",
           "build the image with a tool of today and push it again"),
    _means(r"server gave HTTP response to HTTPS client", "engine-insecure-registry",
           "name the registry in insecure-registries of /etc/docker/daemon.json, or give it TLS"),
    _means(r"certificate signed by unknown authority|certificate is not trusted", "engine-untrusted-registry",
           "put the registry's authority at /etc/docker/certs.d/HOST/ca.crt, or into the system's and restart docker"),
    _means(r"certificate has expired or is not yet valid", "engine-pull", "check this machine's clock (timedatectl)",
           may_pass=True),
)  # fmt: skip
"""First match wins; `no such host`, `connection refused`, `EOF`, timeouts, `unknown blob` and the rest may pass."""
_CALLS = (
    _FULL,
    _OTHER_PLATFORM,
    _means(r"\bdial(?:ing)?\b|transport is closing|unable to retrieve OCI runtime error", "engine-refused",
           may_pass=True),
    _means(r"executable file not found|no such file or directory|is a directory|not a directory|permission denied"
           r"|unable to find (?:user|group)|no matching entries in (?:passwd|group)", "engine-refused",
           "check command, user and mounts against what is in the image"),
    _means(r"could not select device driver", "engine-refused",
           "install the GPU's container toolkit, or take gpus out of the user data"),
)  # fmt: skip
"""First match wins: containerd that is away comes first, since its socket that is missing is a missing file too. What
is not listed may pass where the status is of the engine (5xx), or of what is under way: a removal, a name (409)."""


def pull_refused(repository: str, digest: str, words: str) -> EngineFailed:
    """Return the error for a pull that the engine gave up, in its words."""
    words = _shown(words)
    meaning = _meaning(_PULLS, words.replace(digest, "").replace(repository, ""))  # names are no words of the engine
    message = f"{repository}@{digest} cannot be pulled: {one_line(words, 300)}"
    if meaning is None:
        return EngineFailed("engine-pull", message)
    return _error(meaning, message)


def pull_stalled(subject: str, seconds: float, so_far: str) -> EngineFailed:
    """Return the error for a pull without progress."""
    where = f" after {so_far}" if so_far else ""
    return EngineFailed(
        PULL_STALLED, f"{subject}: the pull made no progress for {seconds:g} seconds{where}",
        fix="see whether the registry still sends, and journalctl -u docker; pull_stall_seconds_max bounds the silence",
    )  # fmt: skip


def call_refused(status: int, words: str) -> EngineFailed:
    """Return the error for any other call that the engine refused by an HTTP status."""
    words = _shown(words)
    message = f"the Docker Engine refused: {one_line(words, 300) or f'HTTP {status}'}"
    meaning = _meaning(_CALLS, words)
    if meaning is not None:
        return _error(meaning, message)
    return EngineFailed("engine-refused", message, retryable=status >= 500 or status in (409, 429))


def away(socket: str, exc: BaseException) -> EngineFailed:
    """Return the error for an engine that gives no answer. Only a socket that we may not open stays so."""
    number = next((one.errno for one in _causes(exc) if isinstance(one, OSError) and isinstance(one.errno, int)), None)
    if number in (errno.EACCES, errno.EPERM):
        return EngineFailed(
            "engine-denied", f"this process may not open the Docker Engine's socket {socket}", retryable=False,
            fix="add the agent's user to the group that owns the socket: usermod -aG docker whence-agent",
        )  # fmt: skip
    why = "there is no such socket" if number == errno.ENOENT else type(exc).__name__
    return EngineFailed(
        "engine-unreachable", f"the Docker Engine at {socket} does not answer ({why})", fix=ENGINE_AWAY_FIX
    )


def _shown(words: str) -> str:
    """Return the engine's words without what signs in, which is also what hides the cause behind it."""
    return _URL_SECRETS.sub(r"\1\2", words[:16_384])


def _meaning(table: tuple[_Meaning, ...], words: str) -> _Meaning | None:
    return next((one for one in table if one.words.search(words[:4096])), None)


def _error(meaning: _Meaning, message: str) -> EngineFailed:
    return EngineFailed(
        meaning.code, message, fix=meaning.fix, retryable=meaning.may_pass, retry_after_seconds=meaning.after_seconds
    )


def _causes(exc: BaseException) -> Iterator[BaseException]:
    """Give an error and what it was made from: libraries hide the system's number in causes and in arguments."""
    waiting, seen = [exc], 0
    while waiting and seen < _CAUSES_MAX:
        one = waiting.pop(0)
        seen += 1
        yield one
        inner = (one.__cause__, one.__context__, *one.args)
        waiting += [found for found in inner if isinstance(found, BaseException)]
