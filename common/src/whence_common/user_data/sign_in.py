"""Registry logins in user data, `dockercfg`, in Docker's formats. Its values are secret and never quoted.

Accepted are entries at the top or below `auths`, as YAML or as JSON in a text, which may be folded over lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from whence_common.login_file import LoginInvalid, login_of_entry
from whence_common.loose_json import loose
from whence_common.user_data import readers, secret_references
from whence_common.user_data.container import secret_or_text
from whence_common.user_data.nodes import MappingNode, Node, ScalarNode
from whence_common.user_data.section import Section

_KEY = "dockercfg"
_NAMES = ("auth", "username", "password", "identitytoken")
_ENTRIES_MAX = 200
_COPY = "copy it from Docker's configuration"
_STORED = "Docker stores it in a credential helper: write auth, which is user:password in base64"
_HELPERS = ("credHelpers", "credsStore")


def read_sign_in(root: Section) -> dict[str, dict[str, str]]:
    """Return the logins in `dockercfg` by host.

    An unusable entry is ignored with a warning, since it may be for a registry that is not used.
    """
    node = root.get(_KEY)
    if isinstance(node, ScalarNode) and isinstance(node.value, str) and (document := loose(node.value.encode())):
        node = _placed(document, node)
    if node is None:
        return {}
    if not isinstance(node, MappingNode):
        readers.wrong_shape(node, _KEY, "mapping", root.findings)
        return {}
    read: dict[str, dict[str, str]] = {}
    for host, one in _entries(root, node):
        given = _given(one)
        if given is not None:
            read[re.sub(r"^https?://|/.*$", "", host)] = given
    return read


def _entries(root: Section, node: MappingNode) -> Iterator[tuple[str, Section]]:
    """Yield the entries by host; from `auths`, as in Docker's config.json, if it exists."""
    for name in _HELPERS:
        if name in node.entries:
            message = f"{_KEY}.{name} is ignored: the credential helper is a program on your own machine"
            fix = "write auths with auth; ECR needs neither, since the instance's role signs in"
            root.findings.warning(node.keys[name], f"{_KEY}.{name}", "dockercfg-helper", message, fix)
    path, wrapped = _KEY, node.entries.get("auths")
    if isinstance(wrapped, MappingNode):
        path, node = f"{_KEY}.auths", wrapped
    else:
        entries = {name: one for name, one in node.entries.items() if name not in _HELPERS}
        node = replace(node, entries=entries, keys={name: node.keys[name] for name in entries})
    yield from Section(node, root.findings, path=path, schema_path=_KEY).sections()


def _given(one: Section) -> dict[str, str] | None:
    """Return the values of an entry; None, with a warning, if they are not a usable login."""
    values = {name: _value(one, name) for name in _NAMES}
    given = {name: value for name, value in values.items() if value is not None}
    if not ({"auth", "identitytoken"} & given.keys() or {"username", "password"} <= given.keys()):
        message = f"{one.path} needs auth, or username and password; it is ignored"
        fix = _COPY if given else _STORED
        one.warning("", "dockercfg-incomplete", message, fix)
        return None
    if any(secret_references.is_reference(value) for value in given.values()):
        return given
    try:
        login = login_of_entry(given, host=one.path, name=_KEY)
    except LoginInvalid as exc:
        one.warning("", exc.code, f"{one.path} is not a user and password; it is ignored", exc.fix or _COPY)
        return None
    if "auth" in given and not (login.password or login.identity_token):
        message = f"{one.path}: auth is not user:password in base64; it is ignored"
        one.warning("auth", "dockercfg-auth-malformed", message, _COPY)
        return None
    return given


def _value(one: Section, name: str) -> str | None:
    """Return one text. White space within base64, which folding adds, is removed, as Docker does."""
    node = one.get(name)
    if node is None:
        return None
    path = one.name_of(name)
    if isinstance(node, ScalarNode) and isinstance(node.value, str):
        reference = secret_references.is_reference(node.value.lstrip())
        folded = node.value.strip() if reference or name != "auth" else "".join(node.value.split())
        if reference:
            return secret_or_text(node, folded, path, one.findings)
        node = replace(node, text=folded, value=folded)
    return readers.text(node, path, one.findings)


def _placed(document: dict[str, object], at: ScalarNode) -> MappingNode:
    """Return the entries of a JSON document as nodes at the place of its text, to two levels below the root."""
    return _mapping(document, at, levels=3)


def _mapping(document: dict[str, object], at: ScalarNode, levels: int) -> MappingNode:
    entries: dict[str, Node] = {}
    for name, value in list(document.items())[: _ENTRIES_MAX + 1]:
        if isinstance(value, dict) and levels:
            entries[name] = _mapping(value, at, levels - 1)
        else:
            known = value if isinstance(value, str | bool | int | float | None) else ""
            entries[name] = replace(at, text=str(known), value=known)
    keys = {name: replace(at, text=name, value=name) for name in entries}
    return MappingNode(line=at.line, column=at.column, entries=entries, keys=keys)
