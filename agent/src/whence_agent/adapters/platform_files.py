"""Files that the platform's settings name: trust keys, Docker's configuration, the proxy's login. Read at the start."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from whence_agent.boot.image import TrustPolicy
from whence_agent.proxies import Proxies, find_errors, with_login
from whence_agent.settings import Settings
from whence_common.image_reference import registry_name
from whence_common.image_trust import TrustedBuilder, TrustKeyInvalid, load_public_key
from whence_common.login_file import LoginInvalid, parse_login
from whence_common.settings_file import SettingsInvalid

_FILE_BYTES_MAX = 1024 * 1024
_ENTRY_NAMES = ("auth", "username", "password", "identitytoken")


def trust_policies(settings: Settings) -> dict[str, TrustPolicy]:
    """Return the trust policies by registry, without empty ones. Raises SettingsInvalid."""
    policies = {}
    for host, registry in settings.registries.items():
        trust = registry.trust
        policy = TrustPolicy(
            keys=tuple(_key(name, host) for name in trust.signature_key_files),
            builders=tuple(TrustedBuilder(builder_id=one.id, key=_key(one.key_file, host)) for one in trust.builders),
            production_ready_header=trust.production_ready_header,
        )
        if policy != TrustPolicy():
            policies[registry_name(host)] = policy
    return policies


def logins_of(name: str | None) -> dict[str, dict[str, str]]:
    """Return the `auths` of Docker's configuration. Raises SettingsInvalid, without quoting the file."""
    if name is None:
        return {}
    try:
        document: Any = json.loads(_read(name, "docker_config_file"))
        entries = document["auths"].items()
        return {
            host.removeprefix("https://").removeprefix("http://").split("/")[0]: {
                key: str(entry[key]) for key in _ENTRY_NAMES if key in entry
            }
            for host, entry in entries
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        fix = 'write JSON like {"auths": {"registry.example.org": {"auth": "…"}}}'
        raise SettingsInvalid("settings-invalid", f"docker_config_file: {name} is malformed", fix=fix) from exc


def proxies_of(settings: Settings, environment: Proxies) -> Proxies:
    """Return the proxies of the settings with their login, else those of the environment. Raises SettingsInvalid."""
    given = settings.proxy
    if given is None:
        wrong = next(find_errors(environment, "environment"), "")
        if wrong:
            fix = "correct HTTPS_PROXY, HTTP_PROXY or NO_PROXY of the unit, or set proxy in the settings"
            raise SettingsInvalid("proxy-invalid", wrong, fix=fix)
        return environment
    proxies = given.proxies()
    if given.login_file is None:
        return proxies
    try:
        login = parse_login(_read(given.login_file, "proxy.login_file"), host="the proxy", name=given.login_file)
    except LoginInvalid as exc:
        raise SettingsInvalid(exc.code, f"proxy.login_file: {exc.message}", fix=exc.fix) from exc
    return Proxies(
        https=with_login(proxies.https, login.username, login.password),
        http=with_login(proxies.http, login.username, login.password),
        no_proxy=proxies.no_proxy,
    )


def _key(name: str, host: str) -> ec.EllipticCurvePublicKey:
    try:
        return load_public_key(_read(name, f"registries.{host}.trust"), name=name)
    except TrustKeyInvalid as exc:
        raise SettingsInvalid(exc.code, f"registries.{host}.trust: {exc.message}", fix=exc.fix) from exc


def _read(name: str, setting: str) -> bytes:
    try:
        with Path(name).open("rb") as stream:
            return stream.read(_FILE_BYTES_MAX)
    except OSError as exc:
        message = f"{setting}: {name} cannot be read: {exc.strerror}"
        raise SettingsInvalid("settings-file-unreadable", message, fix="correct the path or its mode") from exc
