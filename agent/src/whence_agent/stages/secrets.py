"""Stage secrets: references become plaintext, in memory only, and are masked by origin from then on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from whence_agent.ports import Secrets, SecretUnavailable
from whence_agent.redaction import Redactor
from whence_common.backoff import Backoff
from whence_common.pause import pause
from whence_common.user_data import secret_references
from whence_common.user_data.judge import SECRET_REFERENCES, UserData

ATTEMPTS_MAX = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """The application's environment, each sidecar's, and the sign-in of registries, without any reference left."""

    environment: Mapping[str, str]
    sidecars: Mapping[str, Mapping[str, str]]
    sign_in: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretResolver:
    secrets: Secrets
    redactor: Redactor
    backoff: Backoff

    async def resolve(self, user_data: UserData) -> Resolved:
        """Resolve every reference. Raises SecretUnavailable naming the place, never the value."""
        context = user_data.encryption_context
        environment = await self._mapping(user_data.options.environment, "environment", context)
        sidecars = {
            one.name: await self._mapping(one.options.environment, f"containers.{one.name}.environment", context)
            for one in user_data.sidecars
        }
        sign_in = {
            host: await self._mapping(entry, f"dockercfg.{host}", context) for host, entry in user_data.sign_in.items()
        }
        return Resolved(environment=environment, sidecars=sidecars, sign_in=sign_in)

    async def _mapping(self, values: Mapping[str, str], path: str, context: Mapping[str, str]) -> dict[str, str]:
        plain = {}
        for name, value in values.items():
            if value.startswith(SECRET_REFERENCES):
                plain[name] = await self._value(value, f"{path}.{name}", context)
                self.redactor.learn(plain[name])
            else:
                plain[name] = value
        return plain

    async def _value(self, reference: str, where: str, context: Mapping[str, str]) -> str:
        attempt = 0
        while True:
            try:
                return await self._once(reference, where, context)
            except SecretUnavailable as exc:
                attempt += 1
                if exc.code != "secret-unreachable" or attempt >= ATTEMPTS_MAX:
                    message = f"{where}: {exc.message}"
                    raise SecretUnavailable(exc.code, message, fix=exc.fix, retryable=exc.retryable) from exc
                await pause(self.backoff.seconds(attempt))

    async def _once(self, reference: str, where: str, context: Mapping[str, str]) -> str:
        _, kind, rest = reference.split(":", 2)
        if kind == "kms":
            return await self.secrets.decrypt(_ciphertext(rest), context)
        if kind == "ssm":
            return await self.secrets.parameter(rest)
        name, hash_sign, key = rest.partition("#")
        text = await self.secrets.secret(name)
        return _member(text, key) if hash_sign else text


def _ciphertext(text: str) -> bytes:
    """Decode as the judge of user data did. Raises SecretUnavailable."""
    try:
        return secret_references.ciphertext(text)
    except secret_references.ReferenceInvalid as exc:
        raise SecretUnavailable(exc.code, exc.message, retryable=False, fix=exc.fix) from exc


def _member(text: str, key: str) -> str:
    """Give one member of a secret that is a JSON object: aws:secretsmanager:NAME#KEY."""
    try:
        found = json.loads(text)[key]
    except (ValueError, KeyError, TypeError, RecursionError) as exc:
        raise SecretUnavailable(
            "secret-no-member", "the secret has no such member", retryable=False, fix="correct what follows #"
        ) from exc
    return found if isinstance(found, str) else json.dumps(found)
