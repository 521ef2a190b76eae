"""Stage secrets: resolves references to plaintext, in memory only, which is masked in all output from then on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from whence_agent.boot.stage import Observation, ObservedSoFar, StageHandle
from whence_agent.boot.user_data import Judged
from whence_agent.patience import Patience
from whence_agent.ports import Secrets, SecretUnavailable
from whence_agent.progress.stage import StageProgress
from whence_agent.redaction import Redactor
from whence_common.user_data import secret_references
from whence_common.user_data.judge import SECRET_REFERENCES, UserData

_SERVICES = {"kms": "KMS", "ssm": "Systems Manager", "secretsmanager": "Secrets Manager"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved(Observation):
    """The application's environment, each sidecar's, and the registries' logins, with all references resolved."""

    environment: Mapping[str, str] = field(repr=False)
    sidecars: Mapping[str, Mapping[str, str]] = field(repr=False)
    sign_in: Mapping[str, Mapping[str, str]] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretResolver:
    secrets: Secrets
    redactor: Redactor
    patience: Patience

    async def resolve(self, user_data: UserData, stage: StageProgress) -> Resolved:
        """Resolve every reference. Raises SecretUnavailable, which names the place and never the value."""
        context = user_data.encryption_context

        async def plain(values: Mapping[str, str], path: str) -> dict[str, str]:
            return {name: await self._plain(value, f"{path}.{name}", context, stage) for name, value in values.items()}

        environment = await plain(user_data.options.environment, "environment")
        sidecars = {
            one.name: await plain(one.options.environment, f"containers.{one.name}.environment")
            for one in user_data.sidecars
        }
        sign_in = {host: await plain(entry, f"dockercfg.{host}") for host, entry in user_data.sign_in.items()}
        return Resolved(environment=environment, sidecars=sidecars, sign_in=sign_in)

    async def _plain(self, value: str, where: str, context: Mapping[str, str], stage: StageProgress) -> str:
        if not value.startswith(SECRET_REFERENCES):
            return value
        service = _SERVICES[value.split(":", 2)[1]]
        found = await self.patience.keep_trying(
            lambda: self._located(value, where, context), stage, waiting_for=f"{service}, for {where}"
        )
        self.redactor.learn(found)
        return found

    async def _located(self, reference: str, where: str, context: Mapping[str, str]) -> str:
        try:
            return await self._once(reference, context)
        except SecretUnavailable as exc:
            raise SecretUnavailable(
                exc.code, f"{where}: {exc.message}", fix=exc.fix, retryable=exc.retryable,
                retry_after_seconds=exc.retry_after_seconds,
            ) from exc  # fmt: skip

    async def _once(self, reference: str, context: Mapping[str, str]) -> str:
        _, kind, rest = reference.split(":", 2)
        if kind == "kms":
            return await self.secrets.decrypt(_ciphertext(rest), context)
        if kind == "ssm":
            return await self.secrets.parameter(rest)
        name, hash_sign, key = rest.partition("#")
        text = await self.secrets.secret(name)
        return _member(text, key) if hash_sign else text


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretsStage:
    resolver: SecretResolver
    name: str = "secrets"

    def is_wanted(self, so_far: ObservedSoFar) -> bool:
        return True

    async def run(self, so_far: ObservedSoFar, handle: StageHandle) -> Resolved:
        """Return the resolved values. Raises SecretUnavailable."""
        return await self.resolver.resolve(so_far.of(Judged).user_data, handle.stage)


def _ciphertext(text: str) -> bytes:
    """Return the decoded ciphertext, as the judge of user data decodes it. Raises SecretUnavailable."""
    try:
        return secret_references.ciphertext(text)
    except secret_references.ReferenceInvalid as exc:
        raise SecretUnavailable(exc.code, exc.message, retryable=False, fix=exc.fix) from exc


def _member(text: str, key: str) -> str:
    """Return one member of a secret that is a JSON object: aws:secretsmanager:NAME#KEY."""
    try:
        found = json.loads(text)[key]
    except (ValueError, KeyError, TypeError, RecursionError) as exc:
        raise SecretUnavailable(
            "secret-no-member", "the secret has no member of this name", retryable=False, fix="correct the name after #"
        ) from exc
    return found if isinstance(found, str) else json.dumps(found)
