"""Metadata of SAML providers: XML in one form, or the URL that it is read from while a plan is made. Pure."""

from __future__ import annotations

from urllib.parse import urlsplit
from xml.etree.ElementTree import ParseError, canonicalize

from whence_common.errors import InputError

METADATA_CHARACTERS_MAX = 1_000_000
METADATA_CHARACTERS_MIN = 1_000
"""IAM's own bound (CreateSAMLProvider)."""
URL_CHARACTERS_MAX = 1_000


def url_of(metadata: str, key: str) -> str | None:
    """Return the URL that a configuration states in place of XML. Raises InputError for one that is not https."""
    text = metadata.strip()
    if text.startswith("<"):
        return None
    fix = "write the metadata's https:// URL, or the XML itself"
    if not text.startswith("https://") or not text.isprintable() or " " in text or len(text) > URL_CHARACTERS_MAX:
        raise InputError("accounts-saml", f"{key} is neither XML nor an https URL", fix=fix)
    if "@" in urlsplit(text).netloc:
        raise InputError("accounts-saml", f"{key} has a login in its URL, which plans show", fix="remove the login")
    return text


def metadata_form(metadata: str, key: str) -> str:
    """Return metadata as canonical XML (C14N 2.0), in which equal documents are equal texts.

    Raises InputError whose message begins with the key. A document with a DTD is refused: SAML metadata has none, and
    entities make documents grow.
    """
    if "<!DOCTYPE" in metadata or "<!ENTITY" in metadata:
        raise InputError("accounts-saml", f"{key} has a document type", fix="remove the DOCTYPE from the metadata")
    try:
        found = canonicalize(metadata.strip())
    except (ParseError, ValueError, RecursionError) as exc:
        fix = "write the identity provider's metadata as it is downloaded"
        raise InputError("accounts-saml", f"{key} is not XML: {exc}"[:500], fix=fix) from exc
    if not METADATA_CHARACTERS_MIN <= len(found) <= METADATA_CHARACTERS_MAX:
        message = f"{key} has {len(found)} characters; {METADATA_CHARACTERS_MIN} to {METADATA_CHARACTERS_MAX} are taken"
        raise InputError("accounts-saml", message, fix="write the identity provider's whole metadata")
    return found
