"""Login files: Docker's configuration with an entry for each registry, or USER:PASSWORD, or only a token."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from typing import Any

from whence_common.errors import InputError
from whence_common.image_reference import registry_name
from whence_common.loose_json import loose
from whence_common.registry_sign_in import Login

LOGIN_BYTES_MAX = 256 * 1024
_CHARACTERS_MAX = 4 * 1024
_SCHEME = re.compile(r"\Ahttps?://")
_NO_LOGINS = ("access-token", "refresh-token")
"""Entries that Docker Desktop adds to its login for Docker Hub."""
_TOKEN_USER = "<token>"  # noqa: S105 - the user name with which Docker's credential helpers return an identity token


class LoginInvalid(InputError):
    """The file does not hold a usable login; the message never quotes the file."""


def parse_login(content: bytes, *, host: str, name: str, token_user: str = "") -> Login:
    """Return the login for a host. `token_user` is the user name for a file with only a token. Raises LoginInvalid."""
    if len(content) > LOGIN_BYTES_MAX:
        raise LoginInvalid("login-too-large", f"{name} is larger than {LOGIN_BYTES_MAX} bytes")
    if content.lstrip().startswith(b"{"):
        return _of_docker(content, host, name)
    try:
        text = content.decode("utf-8").strip()
    except UnicodeDecodeError as exc:
        raise LoginInvalid("login-malformed", f"{name} is not UTF-8 at byte {exc.start}") from exc
    username, colon, password = text.partition(":")
    if not colon and token_user and text:
        username, password = token_user, text
    if not username or not password or not text.isprintable() or len(text) > _CHARACTERS_MAX:
        form = "USER:PASSWORD or a token" if token_user else "USER:PASSWORD"
        raise LoginInvalid(
            "login-malformed", f"{name} is not one line with {form}", fix="write one login and nothing else to the file"
        )
    return Login(username=username, password=password)


def docker_entry(document: Mapping[str, Any], host: str) -> Mapping[str, Any] | None:
    """Return a registry's entry in Docker's configuration, or None; old files have their entries at the top level.

    `docker login` leaves an empty entry if a credential helper stores the login: an entry that is not empty, under
    another name of the registry, takes precedence.
    """
    entries = document.get("auths", document)
    if not isinstance(entries, dict):
        return None
    found = [one for key in docker_keys(entries, host) if isinstance(one := entries[key], dict)]
    return next((one for one in found if one), found[0] if found else None)


def docker_keys(keys: Iterable[str], host: str) -> list[str]:
    """Return the keys that name a registry, the best match first, with or without scheme and path, as Docker does.

    For all names of Docker Hub, Docker's key is `https://index.docker.io/v1/`.
    """
    fitting = [(fit, key) for key in keys if isinstance(key, str) and (fit := _fit(key, host)) is not None]
    return [key for _, key in sorted(fitting)]


def _fit(key: str, host: str) -> tuple[bool, bool, str] | None:
    name, _, path = _SCHEME.sub("", key, count=1).partition("/")
    path = path.strip("/")
    if registry_name(name) != registry_name(host) or path.endswith(_NO_LOGINS):
        return None
    return name != host, path not in ("", "v1", "v2"), name


def login_of_entry(entry: Mapping[str, Any], *, host: str, name: str) -> Login:
    """Return one entry's login: `auth`, or username and password, or a token. Raises LoginInvalid."""
    texts = {key: value for key, value in entries_of(entry) if isinstance(value, str)}
    username, password = texts.get("username", ""), texts.get("password", "")
    if texts.get("auth"):
        try:
            # NOTE: not our strict base64: the text is copied from Docker's configuration, and Docker accepts it
            username, _, password = base64.b64decode(texts["auth"], validate=True).decode("utf-8").partition(":")
        except (binascii.Error, ValueError) as exc:
            raise LoginInvalid(
                "dockercfg-auth-malformed", f"{name}: the auth of {host} is not user:password in base64",
                fix="copy it from Docker's configuration",
            ) from exc  # fmt: skip
    password = password.rstrip("\x00")
    identity = texts.get("identitytoken", "")
    if not (username + password).isprintable() or len(username + password) > _CHARACTERS_MAX:
        raise LoginInvalid("login-malformed", f"{name}: the login for {host} is too long or not printable")
    if username == _TOKEN_USER and not identity:
        username, password, identity = "", "", password
    return Login(
        username=username, password=password, identity_token=identity, registry_token=texts.get("registrytoken", "")
    )


def entries_of(entry: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return an entry's keys in lower case: Docker's keys are not case-sensitive."""
    return [(str(key).lower(), value) for key, value in entry.items()]


def _of_docker(content: bytes, host: str, name: str) -> Login:
    document = loose(content)
    if not document:
        raise LoginInvalid("login-malformed", f"{name} is not a JSON object", fix="copy Docker's config.json")
    entry = docker_entry(document, host)
    if entry is None:
        raise LoginInvalid(
            "login-missing", f"{name} has no login for {host}", fix=f"add one below auths: docker login {host}"
        )
    login = login_of_entry(entry, host=host, name=name)
    if login == Login():
        raise LoginInvalid(
            "login-missing", f"{name}: the login for {host} is empty",
            fix="Docker stores it in a credential helper: write USER:PASSWORD to a separate file instead",
        )  # fmt: skip
    return login
