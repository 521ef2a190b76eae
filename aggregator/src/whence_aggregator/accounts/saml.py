"""Metadata of SAML providers: XML in one form, and the URLs that it is read from before a plan is made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from xml.etree.ElementTree import ParseError, canonicalize

import msgspec

from whence_aggregator.accounts.account import Account
from whence_common.errors import InputError

METADATA_CHARACTERS_MAX = 1_000_000
METADATA_CHARACTERS_MIN = 1_000
"""IAM's own bound (CreateSAMLProvider)."""
Fetch = Callable[[str], Awaitable[str]]


def is_url(metadata: str) -> bool:
    return not metadata.lstrip().startswith("<")


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


async def with_metadata(account: Account, fetch: Fetch) -> Account:
    """Return the account with the XML of each SAML provider in place of its URL.

    Raises InputError for a URL that is not https, and what `fetch` raises.
    """
    providers = dict(account.settings.saml_providers)
    for name, metadata in providers.items():
        if metadata is None or not is_url(metadata):
            continue
        url = metadata.strip()
        if not url.startswith("https://"):
            message = f"accounts.{account.name}.saml_providers.{name} is neither XML nor an https URL"
            raise InputError("accounts-saml", message, fix="write the metadata's https:// URL, or the XML itself")
        providers[name] = await fetch(url)
    settings = msgspec.structs.replace(account.settings, saml_providers=providers)
    return replace(account, settings=settings)
