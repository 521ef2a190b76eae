"""References between Backstage's entities: `[kind:][namespace/]name`, compared in lower case. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

DEFAULT_NAMESPACE = "default"
NAME_CHARACTERS_MAX = 63
_NAME = re.compile(r"(?:[A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]\Z")
_NAMESPACE = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?\Z")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class EntityReference:
    """A reference. `kind`, `namespace` and `name` are in lower case; `written` is the name as it was written."""

    kind: str
    namespace: str
    name: str
    written: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.namespace}/{self.name}"

    @property
    def key(self) -> tuple[str, str]:
        return self.namespace, self.name


def parse_reference(text: str, *, kind: str, namespace: str) -> EntityReference | None:
    """Return a reference, or None if it is malformed. `kind` is the field's default, `namespace` the entity's own.

    A slash before the colon makes the colon a part of the name, which no entity's name can have.
    """
    colon, slash = text.find(":"), text.find("/")
    if -1 < slash < colon:
        colon = -1
    stated_kind = text[:colon] if colon >= 0 else kind
    stated_namespace = text[colon + 1 : slash] if slash >= 0 else namespace
    name = text[max(colon, slash) + 1 :]
    if not stated_kind or not is_entity_name(name) or not is_namespace(stated_namespace.lower()):
        return None
    return EntityReference(
        kind=stated_kind.lower(), namespace=stated_namespace.lower(), name=name.lower(), written=name
    )


def is_entity_name(text: str) -> bool:
    return len(text) <= NAME_CHARACTERS_MAX and _NAME.match(text) is not None


def is_namespace(text: str) -> bool:
    return len(text) <= NAME_CHARACTERS_MAX and _NAMESPACE.match(text) is not None
