"""Requests to a registry's API: URLs from validated names, and headers. No I/O is done here.

A name from outside cannot change the endpoint of a request. Source: OCI distribution specification 1.1, endpoints.
"""

from __future__ import annotations

from typing import Literal, get_args
from urllib.parse import quote, urljoin, urlsplit

from whence_common.digest import is_sha256_digest
from whence_common.errors import one_line
from whence_common.image_reference import ImageReferenceInvalid, is_repository_path, is_tag
from whence_common.oci_manifest import ACCEPT
from whence_common.registry_address import RedirectRefused, RegistryPlace, same_origin

ContentRoute = Literal["manifests", "blobs", "referrers"]
_PARTS = get_args(ContentRoute)


def url_of(place: RegistryPlace, path: str, part: str, name: str) -> str:
    """Return the URL of a manifest, blob or list of referrers of a repository. Raises ImageReferenceInvalid.

    `name` is a tag or digest for a manifest, and a digest for a blob and for a list of referrers.
    """
    return f"{place.origin}/v2/{checked_path(place.path(path), part, name)}"


def checked_path(path: str, part: str, name: str) -> str:
    """Return `path/part/name` if each of them matches its grammar. Raises ImageReferenceInvalid."""
    check_path(path)
    if part not in _PARTS:
        raise _malformed("part of a repository", part, f"one of {', '.join(_PARTS)}")
    if not (is_sha256_digest(name) or (part == "manifests" and is_tag(name))):
        raise _malformed("name", name, "a tag or sha256: and 64 lower-case hex digits")
    return quote(f"{path}/{part}/{name}", safe="/:")


def check_path(path: str) -> None:
    """Check a repository's path. Raises ImageReferenceInvalid."""
    if not is_repository_path(path):
        raise _malformed("repository", path, "lower-case letters and digits, joined by . _ - and /")


def upload_location(place: RegistryPlace, url: str, location: str | None) -> str:
    """Return the URL at which an upload continues, from the Location header of the response. Raises RedirectRefused.

    Without the header it continues at `url`. An upload carries credentials, so another host is refused.
    """
    target = urljoin(url, location or url)
    if not same_origin(place, target):
        raise RedirectRefused(
            "registry-location",
            f"{place.registry} sends uploads to another host, which is refused",
            retryable=False,
            fix="the registry's owner must correct the Location header of uploads",
        )
    return target


def upload_end(location: str, digest: str) -> str:
    """Return the URL for the PUT that completes an upload as the blob of a digest."""
    return f"{location}{'&' if urlsplit(location).query else '?'}digest={digest}"


def read_headers(accept: str = ACCEPT) -> dict[str, str]:
    """Return the headers of a read. Content is requested without compression, since digests are of the stored bytes."""
    return {"Accept": accept, "Accept-Encoding": "identity"}


def _malformed(what: str, text: str, wanted: str) -> ImageReferenceInvalid:
    return ImageReferenceInvalid(
        "image-name-malformed",
        f"{one_line(text, 80)!r} is not a {what} of a registry: {wanted}",
        fix="correct the name",
    )
