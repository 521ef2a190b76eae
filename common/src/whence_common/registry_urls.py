"""URLs of a registry's API, built from names that are checked first: a name from outside never bends a request."""

from __future__ import annotations

from typing import Literal, get_args
from urllib.parse import quote

from whence_common.digest import is_sha256_digest
from whence_common.errors import one_line
from whence_common.image_reference import ImageReferenceInvalid, is_repository_path, is_tag
from whence_common.registry_address import RegistryPlace

ContentRoute = Literal["manifests", "blobs", "referrers"]
_PARTS = get_args(ContentRoute)


def url_of(place: RegistryPlace, path: str, part: str, name: str) -> str:
    """Return the URL of a manifest, blob or list of referrers of a repository. Raises ImageReferenceInvalid.

    A manifest is named by tag or digest, a blob and what is referred to by digest.
    """
    return f"{place.origin}/v2/{checked_path(place.path(path), part, name)}"


def checked_path(path: str, part: str, name: str) -> str:
    """Return `path/part/name`, once each of them is what its grammar allows. Raises ImageReferenceInvalid."""
    if not is_repository_path(path):
        raise _malformed("repository", path, "lower-case letters and digits, joined by . _ - and /")
    if part not in _PARTS:
        raise _malformed("part of a repository", part, f"one of {', '.join(_PARTS)}")
    if not (is_sha256_digest(name) or (part == "manifests" and is_tag(name))):
        raise _malformed("name", name, "a tag or sha256: and 64 lower-case hex digits")
    return quote(f"{path}/{part}/{name}", safe="/:")


def _malformed(what: str, text: str, wanted: str) -> ImageReferenceInvalid:
    return ImageReferenceInvalid(
        "image-name-malformed",
        f"{one_line(text, 80)!r} is not a {what} of a registry: {wanted}",
        fix="correct the name",
    )
