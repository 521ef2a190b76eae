"""The objects of the mint bucket: which ones there are, whether they are valid, and which generation each one is. Pure.

Metadata is written by whoever may write to the bucket: what is malformed is left out, never repaired.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from whence_agent.ports import StoredObject
from whence_common.statement import CredentialObjectFacts, is_credential_generation, is_credential_version

OBJECT_BYTES_MAX = 64 * 1024
USER, CLIENT = "user.json", "client.json"
FILES: Mapping[str, tuple[str, ...]] = {
    CLIENT: ("client_id", "client_secret"),
    USER: ("application_username", "application_password"),
}
"""The files with their required fields, in the order of reading. The first that is there states if the other is."""
SECRET_FIELDS = ("application_password", "client_secret")
_MAY_BE_NULL = "client_secret"
_GENERATION_METADATA = "whence-generation"
_FILES_METADATA = "whence-files"
_FILES_CHARACTERS_MAX = 200
_FILE_NAME = re.compile(r"[a-z]{1,40}\.json\Z")


def stated_files(name: str, found: StoredObject) -> frozenset[str]:
    """Return the files that an object's metadata names; both, as stock, unless it names the object and is valid."""
    text = found.metadata.get(_FILES_METADATA, "")
    names = text.split(",") if len(text) <= _FILES_CHARACTERS_MAX else []
    is_valid = name in names and all(_FILE_NAME.match(one) for one in names)
    return frozenset(FILES) & frozenset(names) if is_valid else frozenset(FILES)


def object_facts(objects: Mapping[str, StoredObject]) -> tuple[CredentialObjectFacts, ...]:
    """Return which generation and version each object is, in a fixed order; never contents or digests."""
    return tuple(_facts(name, objects[name]) for name in sorted(objects))


def _facts(name: str, found: StoredObject) -> CredentialObjectFacts:
    generation = found.metadata.get(_GENERATION_METADATA, "")
    return CredentialObjectFacts(
        file=name,
        generation=generation if is_credential_generation(generation) else "",
        version_id=found.version_id if is_credential_version(found.version_id) else "",
    )


def what_is_wrong(name: str, content: bytes) -> str | None:
    """Return why an object must not replace a valid file, without quoting it; None if it may."""
    if len(content) > OBJECT_BYTES_MAX:
        return f"the object is larger than {OBJECT_BYTES_MAX} bytes"
    try:
        document: Any = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError):
        return f"the object is not complete JSON ({len(content)} bytes); it may be truncated"
    if not isinstance(document, dict):
        return "the object is JSON, but not a JSON object"
    for required in FILES[name]:
        value = document.get(required)
        if required in document and value is None and required == _MAY_BE_NULL:
            continue
        if not isinstance(value, str) or not value:
            return f"{required} is missing or empty"
    return None
