"""Requests to a registry's API: URLs from names that are checked first, and headers. No I/O is done here.

A name from outside never changes which place a request goes to. Source: OCI distribution specification 1.1, endpoints.
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

    A manifest is named by tag or digest, a blob and what is referred to by digest.
    """
    return f"{place.origin}/v2/{checked_path(place.path(path), part, name)}"


def checked_path(path: str, part: str, name: str) -> str:
    """Return `path/part/name`, once each of them is what its grammar allows. Raises ImageReferenceInvalid."""
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
    """Return where an upload goes on, from the Location header of the answer to `url`. Raises RedirectRefused.

    Without the header it goes on at `url`. An upload carries credentials, so it stays at the registry itself.
    """
    target = urljoin(url, location or url)
    if not same_origin(place, target):
        raise RedirectRefused(
            "registry-location",
            f"{place.registry} sends uploads to another host, which is refused",
            retryable=False,
            fix="the registry's owner must correct the address that it gives for uploads",
        )
    return target


def upload_end(location: str, digest: str) -> str:
    """Return the URL whose PUT makes an upload the blob of a digest."""
    return f"{location}{'&' if urlsplit(location).query else '?'}digest={digest}"


def read_headers(accept: str = ACCEPT) -> dict[str, str]:
    """Return the headers of a read. Its bytes are asked for as they are stored, since a digest is of those."""
    return {"Accept": accept, "Accept-Encoding": "identity"}


def _malformed(what: str, text: str, wanted: str) -> ImageReferenceInvalid:
    return ImageReferenceInvalid(
        "image-name-malformed",
        f"{one_line(text, 80)!r} is not a {what} of a registry: {wanted}",
        fix="correct the name",
    )
