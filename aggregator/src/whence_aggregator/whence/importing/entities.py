"""Backstage's entities: one YAML document each, judged as Backstage's catalog judges it. Pure.

Placeholders (`$text`, `$json`, `$yaml`) are never resolved. The values of annotations are in no message.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from whence_aggregator.whence.importing.references import (
    DEFAULT_NAMESPACE,
    EntityReference,
    is_entity_name,
    is_namespace,
)
from whence_aggregator.whence.importing.values import Origin, Unmapped
from whence_aggregator.whence.importing.yaml_documents import YamlDocument
from whence_common.errors import one_line
from whence_common.user_data.nodes import MappingNode, Node, ScalarNode, SequenceNode

KINDS = ("Component", "Group", "User", "Location")
"""The kinds that are read; others are counted."""
_VERSIONS = ("backstage.io/v1alpha1", "backstage.io/v1beta1")
_ROOT = ("apiVersion", "kind", "metadata", "spec")
_PLACEHOLDERS = ("$text", "$json", "$yaml")
_TEXTS: Mapping[str, tuple[tuple[str, bool], ...]] = {
    "Component": (("type", True), ("lifecycle", True), ("owner", True)),
    "Group": (("type", True), ("parent", False)),
    "User": (),
    "Location": (("type", False), ("target", False), ("presence", False)),
}
"""The texts in spec of each kind, and whether they are required."""
_LISTS: Mapping[str, tuple[str, ...]] = {
    "Component": (), "Group": ("members", "children"), "User": ("memberOf",), "Location": ("targets",),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityLink:
    url: str
    title: str
    icon: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogEntity:
    """One valid entity of a kind that is read."""

    kind: str
    namespace: str
    name: str
    origin: Origin
    repository: str
    """URL of the repository that the file was fetched from; empty for a file of this machine."""
    lines: Mapping[str, int]
    """Lines by the path of a key: `metadata.name`."""
    texts: Mapping[str, str]
    """Texts by path: metadata.title, metadata.description, spec.owner, profile.email …"""
    lists: Mapping[str, tuple[str, ...]]
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    links: tuple[EntityLink, ...]
    keys: tuple[str, ...]
    """Paths of all keys in metadata and spec, to count those that are not mapped."""

    @property
    def reference(self) -> EntityReference:
        return EntityReference(
            kind=self.kind.lower(), namespace=self.namespace, name=self.name.lower(), written=self.name
        )

    def at(self, path: str) -> Origin:
        """Return the place of a key, or of the entity if it has no such key."""
        return Origin(file=self.origin.file, document=self.origin.document, line=self.lines.get(path, self.origin.line))


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherKind:
    """An entity of a kind that is not read, by its name in reports."""

    name: str


def entity_of(document: YamlDocument, *, file: str, repository: str = "") -> CatalogEntity | OtherKind | list[Unmapped]:
    """Return the entity of a document, or every problem in it."""
    origin = Origin(file=file, document=document.number, line=document.root.line)
    if not isinstance(document.root, MappingNode):
        return [
            _unmapped(origin, "the document is not an entity", "write apiVersion, kind, metadata and spec", unread=True)
        ]
    judge = _Judge(root=document.root, origin=origin)
    kind, version = judge.text("kind", required=True), judge.text("apiVersion", required=True)
    if judge.wrong:
        return [replace(one, unread=True) for one in judge.wrong]
    if version not in _VERSIONS and not version.startswith("backstage.io/"):
        return OtherKind(name=one_line(f"{kind} of {version}", 100))
    if kind not in KINDS:
        return OtherKind(name=one_line(kind, 60))
    if version not in _VERSIONS:
        judge.add("apiVersion", f"{one_line(version, 60)!r} is not a known version", f"write {_VERSIONS[0]}")
    for name in document.root.entries:
        if name not in _ROOT:
            judge.add(
                name, f"{one_line(name, 60)!r} is not a key of an entity", "remove it; put it below metadata or spec"
            )
    return judge.entity(kind, repository)


@dataclass(slots=True, kw_only=True)
class _Judge:
    root: MappingNode
    origin: Origin
    wrong: list[Unmapped] = field(default_factory=list)
    lines: dict[str, int] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)

    def add(self, path: str, reason: str, fix: str) -> None:
        line = self.lines.get(path) or self._line(path)
        place = Origin(file=self.origin.file, document=self.origin.document, line=line)
        self.wrong.append(_unmapped(place, f"{path}: {reason}", fix))

    def entity(self, kind: str, repository: str) -> CatalogEntity | list[Unmapped]:
        metadata, spec = self._mapping("metadata", required=True), self._mapping("spec", required=kind != "User")
        for above, found in (("metadata", metadata), ("spec", spec)):
            self.keys += [f"{above}.{name}" for name in found]
        name = self.text("metadata.name", required=True)
        namespace = self.text("metadata.namespace") or DEFAULT_NAMESPACE
        if name and not is_entity_name(name):
            reason = f"{one_line(name, 80)!r} is not an entity's name"
            self.add("metadata.name", reason, "use at most 63 letters, digits, -, _ and .")
        if not is_namespace(namespace):
            reason = f"{one_line(namespace, 80)!r} is not a namespace"
            self.add("metadata.namespace", reason, "use at most 63 lower-case letters, digits and hyphens")
        texts = {path: self.text(path) for path in ("metadata.title", "metadata.description")}
        texts |= {f"spec.{key}": self.text(f"spec.{key}", required=needed) for key, needed in _TEXTS[kind]}
        if kind == "Group" and self._mapping("spec.profile"):
            texts |= {f"spec.profile.{key}": self.text(f"spec.profile.{key}") for key in ("email", "displayName")}
        lists = {f"spec.{key}": self._list(f"spec.{key}") for key in _LISTS[kind]}
        labels, annotations = self._strings("metadata.labels"), self._strings("metadata.annotations")
        links = self._links()
        if self.wrong:
            shown = name.lower() if kind == "Component" else ""
            return [
                Unmapped(
                    origin=one.origin, code=one.code, reason=one.reason, fix=one.fix,
                    application_id=shown if is_entity_name(name) else "", unread=not shown and kind == "Component",
                )
                for one in self.wrong
            ]  # fmt: skip
        return CatalogEntity(
            kind=kind, namespace=namespace, name=name, origin=self.origin, repository=repository, lines=self.lines,
            texts=texts, lists=lists, labels=labels, annotations=annotations, links=links, keys=tuple(self.keys),
        )  # fmt: skip

    def text(self, path: str, *, required: bool = False) -> str:
        """Return a text; an empty one if it is absent, null, or wrong, which is recorded."""
        node = self._node(path)
        if node is None or (isinstance(node, ScalarNode) and node.value is None):
            if required:
                self.add(path, "is required, but not stated", "add it")
            return ""
        if isinstance(node, ScalarNode) and isinstance(node.value, str):
            if required and not node.value:
                self.add(path, "is required, but empty", "state it")
            return node.value
        self.add(path, *_not_text(node))
        return ""

    def _mapping(self, path: str, *, required: bool = False) -> Mapping[str, Node]:
        node = self._node(path)
        if isinstance(node, MappingNode):
            return node.entries
        if node is not None and not (isinstance(node, ScalarNode) and node.value is None):
            self.add(path, "is not a mapping", "write name: value below it")
        elif required:
            self.add(path, "is required, but not stated", "add it")
        return {}

    def _list(self, path: str) -> tuple[str, ...]:
        node = self._node(path)
        if node is None or (isinstance(node, ScalarNode) and node.value is None):
            return ()
        if not isinstance(node, SequenceNode):
            self.add(path, "is not a list", "write a list, as in [a, b]")
            return ()
        found = []
        for item in node.items:
            if isinstance(item, ScalarNode) and isinstance(item.value, str) and item.value:
                found.append(item.value)
            else:
                self.lines[path] = item.line
                self.add(path, *_not_text(item))
        return tuple(found)

    def _strings(self, path: str) -> Mapping[str, str]:
        """Return labels or annotations. A value that is not text is an error in Backstage too: `true` needs quotes."""
        found = {}
        above = self._node(path)
        for key, node in self._mapping(path).items():
            named = f"{path}.{one_line(key, 100)}"
            if isinstance(above, MappingNode):
                self.lines[named] = above.keys[key].line
            if isinstance(node, ScalarNode) and isinstance(node.value, str):
                found[key] = node.value
            else:
                self.add(named, *_not_text(node))
        return found

    def _links(self) -> tuple[EntityLink, ...]:
        node = self._node("metadata.links")
        if node is None or (isinstance(node, ScalarNode) and node.value is None):
            return ()
        found = []
        for item in node.items if isinstance(node, SequenceNode) else [node]:
            stated = item.entries if isinstance(item, MappingNode) else {}
            texts = {
                name: one.value
                for name, one in stated.items()
                if isinstance(one, ScalarNode) and isinstance(one.value, str)
            }
            if not texts.get("url") or any(name in stated and name not in texts for name in ("title", "icon")):
                self.lines["metadata.links"] = item.line
                self.add("metadata.links", "a link is not a mapping with url, title and icon as text", "add url")
                continue
            found.append(EntityLink(url=texts["url"], title=texts.get("title", ""), icon=texts.get("icon", "")))
        return tuple(found)

    def _node(self, path: str) -> Node | None:
        """Return the node at a path of up to three keys, and remember the line of its key."""
        found: Node | None = self.root
        for step in path.split(".", 2):
            if not isinstance(found, MappingNode) or step not in found.entries:
                return None
            self.lines[path] = found.keys[step].line
            found = found.entries[step]
        return found

    def _line(self, path: str) -> int:
        """Return the line of the deepest key of a path that exists."""
        found: Node = self.root
        line = self.origin.line
        for step in path.split(".", 2):
            if not isinstance(found, MappingNode) or step not in found.entries:
                break
            line, found = found.keys[step].line, found.entries[step]
        return line


def _not_text(node: Node) -> tuple[str, str]:
    if isinstance(node, MappingNode):
        named = next((one for one in _PLACEHOLDERS if one in node.entries), None)
        if named is not None:
            return (
                f"the placeholder {named} is not resolved: the import fetches nothing that a file names",
                "write the text",
            )
    if isinstance(node, ScalarNode) and not isinstance(node.value, str) and node.value is not None:
        return "is not text: YAML reads it as a boolean, number or date", "quote it"
    return "is not text", "write text"


def _unmapped(origin: Origin, reason: str, fix: str, *, unread: bool = False) -> Unmapped:
    return Unmapped(origin=origin, code="import-entity", reason=reason, fix=fix, unread=unread)
