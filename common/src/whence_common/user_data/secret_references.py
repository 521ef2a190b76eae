"""References to secrets that replace a value in user data.

The boot stage `secrets` decodes references by the same function, so a valid document does not fail there by its syntax.
"""

from __future__ import annotations

import base64
import re

from whence_common.errors import InputError

PREFIXES = ("aws:kms:", "aws:secretsmanager:", "aws:ssm:")
CIPHERTEXT_BYTES_MAX = 6144
"""The largest CiphertextBlob that KMS's Decrypt accepts."""
_ENCRYPT = (
    "paste the output of: aws kms encrypt --key-id KEY --plaintext fileb://FILE --query CiphertextBlob --output text"
)
_KEY = re.compile(
    r"arn:|(?:alias|key)/|mrk-[0-9a-f]{32}\Z|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z",
    re.IGNORECASE,
)
"""A key's ARN, alias or id. KMS's ciphertexts begin with a version, which is AQ in base64."""
_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/=\s]")
_BASE64 = re.compile(rb"[A-Za-z0-9+/\s]{40,}={0,2}\s*\Z")
_NEARLY = re.compile(r"\s*aws:(?:kms|ssm|secrets?-?manager)\s*:", re.IGNORECASE)
_SELECTOR = r"(?::[A-Za-z0-9_.-]{1,100})?"
_PARAMETER = re.compile(
    rf"(?:[A-Za-z0-9_.-]+|(?:/[A-Za-z0-9_.-]+)+|/aws/reference/secretsmanager/[A-Za-z0-9/_+=.@-]+){_SELECTOR}\Z"
)
_PARAMETER_ARN = re.compile(
    rf"arn:aws[a-z-]{{0,10}}:ssm:[a-z0-9-]+:[0-9]{{12}}:parameter(?:/[A-Za-z0-9_.-]+)+{_SELECTOR}\Z"
)
_PARAMETER_CHARACTERS_MAX = 1011
_PARAMETER_ARN_CHARACTERS_MAX = 2048
_PARAMETER_LEVELS_MAX = 15
_SECRET = re.compile(r"[A-Za-z0-9/_+=.@-]{1,512}\Z")
_SECRET_ARN = re.compile(r"arn:aws[a-z-]{0,10}:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@-]{1,520}\Z")


class ReferenceInvalid(InputError):
    """The reference is invalid; the message does not quote it."""


def is_reference(value: str) -> bool:
    """Return whether a value is a reference to a secret."""
    return value.startswith(PREFIXES)


def is_nearly_reference(value: str) -> bool:
    """Return whether a value resembles a reference, but is not one and is passed to the application unchanged."""
    return not is_reference(value) and _NEARLY.match(value) is not None


def checked(reference: str) -> str:
    """Return a validated reference without surrounding white space, which YAML's folding adds.

    Raises ReferenceInvalid.
    """
    trimmed = reference.strip()
    _, kind, rest = trimmed.split(":", 2)
    if kind == "kms":
        ciphertext(rest)
    elif kind == "ssm":
        _check_parameter(rest)
    else:
        _check_secret(rest.partition("#")[0])
    return trimmed


def ciphertext(text: str) -> bytes:
    """Return the ciphertext after `aws:kms:`. As in Taupage, characters outside base64's alphabet are ignored.

    Raises ReferenceInvalid.
    """
    if _KEY.match(text.strip()):
        raise ReferenceInvalid(
            "secret-is-a-key", "aws:kms: is followed by a key's name; a ciphertext is required", fix=_ENCRYPT
        )
    try:
        content = base64.b64decode(text)
    except ValueError as exc:
        raise ReferenceInvalid(
            "secret-not-base64",
            "the text after aws:kms: is not base64, or is truncated",
            fix="paste the whole ciphertext again",
        ) from exc
    if not content:
        raise ReferenceInvalid("secret-empty", "there is no ciphertext after aws:kms:", fix=_ENCRYPT)
    if len(content) > CIPHERTEXT_BYTES_MAX:
        raise ReferenceInvalid(
            "secret-too-large",
            f"the ciphertext has {len(content)} bytes; KMS accepts at most {CIPHERTEXT_BYTES_MAX}",
            fix="store large secrets in Secrets Manager and write aws:secretsmanager:NAME",
        )
    return content


def doubt(reference: str) -> tuple[str, str, str] | None:
    """Return code, message and fix of a warning about a reference that is valid but likely a mistake; else None."""
    _, kind, rest = reference.split(":", 2)
    if kind != "kms":
        return None
    if _NOT_BASE64.search(rest):
        url_safe = "-" in rest or "_" in rest
        fix = "write + for - and / for _" if url_safe else "remove everything but the ciphertext"
        return "secret-characters", "characters outside base64's alphabet are ignored, as in Taupage", fix
    if _BASE64.match(ciphertext(rest)):
        message = "the text after aws:kms: looks like base64 of base64, which KMS cannot decrypt"
        return "secret-encoded-twice", message, "paste CiphertextBlob as the AWS CLI prints it: it is base64 already"
    return None


def _check_parameter(name: str) -> None:
    is_arn = name.startswith("arn:")
    bound = _PARAMETER_ARN_CHARACTERS_MAX if is_arn else _PARAMETER_CHARACTERS_MAX
    if len(name) > bound or not (_PARAMETER_ARN if is_arn else _PARAMETER).match(name):
        message = "the text after aws:ssm: is not a parameter's name"
        fix = "write aws:ssm:/path/name, with letters, digits and . _ - between the slashes, or the parameter's ARN"
        raise ReferenceInvalid("secret-name-malformed", message, fix=fix)
    if name.count("/") > _PARAMETER_LEVELS_MAX + is_arn and not name.startswith("/aws/"):
        message = f"a parameter's name has at most {_PARAMETER_LEVELS_MAX} levels"
        raise ReferenceInvalid("secret-name-malformed", message, fix="correct the name")


def _check_secret(name: str) -> None:
    if not (_SECRET_ARN if name.startswith("arn:") else _SECRET).match(name):
        message = "the text after aws:secretsmanager: is not a secret's name"
        fix = "write aws:secretsmanager:NAME or NAME#MEMBER; a name has letters, digits and / _ + = . @ -, or is an ARN"
        raise ReferenceInvalid("secret-name-malformed", message, fix=fix)
