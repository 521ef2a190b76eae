"""Stage secrets: `aws:kms:` values in the environment become plaintext, in memory only."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

from whence_agent.ports import Decrypter, SecretUnavailable

_KMS = "aws:kms:"
_NOT_YET = ("aws:secretsmanager:", "aws:ssm:")


async def decrypt_environment(environment: Mapping[str, str], decrypter: Decrypter) -> dict[str, str]:
    """Give the environment with references resolved. Raises SecretUnavailable naming the variable, not the value."""
    plain: dict[str, str] = {}
    for name, value in environment.items():
        if value.startswith(_NOT_YET):
            kind = value.split(":", 2)[1]
            raise SecretUnavailable(
                "secret-kind", f"environment.{name}: {kind} references are not resolved yet", retryable=False,
                fix="encrypt the value with KMS and write aws:kms:…",
            )  # fmt: skip
        if not value.startswith(_KMS):
            plain[name] = value
            continue
        try:
            ciphertext = base64.b64decode(value.removeprefix(_KMS), validate=True)
        except (binascii.Error, ValueError) as exc:
            raise SecretUnavailable(
                "secret-not-base64", f"environment.{name}: what follows aws:kms: is not base64", retryable=False,
                fix="paste the ciphertext again, whole",
            ) from exc  # fmt: skip
        try:
            plain[name] = await decrypter.decrypt(ciphertext)
        except SecretUnavailable as exc:
            raise SecretUnavailable(exc.code, f"environment.{name}: {exc.message}", fix=exc.fix) from exc
    return plain
