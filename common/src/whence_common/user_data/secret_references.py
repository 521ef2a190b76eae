"""References to secrets, as user data writes them in place of a value: what the boot would refuse is refused here.

The boot stage `secrets` decodes by the same function, so that a valid document never fails there for its form.
"""

from __future__ import annotations

import base64
import re

from whence_common.errors import InputError

PREFIXES = ("aws:kms:", "aws:secretsmanager:", "aws:ssm:")
CIPHERTEXT_BYTES_MAX = 6144
"""Largest CiphertextBlob of KMS's Decrypt."""
_ENCRYPT = (
    "paste what encrypts the value: aws kms encrypt --key-id KEY --plaintext fileb://FILE "
    "--query CiphertextBlob --output text"
)
_KEY = re.compile(
    r"arn:|(?:alias|key)/|mrk-[0-9a-f]{32}\Z|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z",
    re.IGNORECASE,
)
"""A key's ARN, alias or id. KMS's ciphertexts begin with a version, AQ in base64."""
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
    """The boot would refuse this reference; the message never holds it."""


def is_reference(value: str) -> bool:
    """Return whether a value stands for a secret."""
    return value.startswith(PREFIXES)


def is_nearly_reference(value: str) -> bool:
    """Return whether a value was surely meant as a reference, but reaches the application as it is written."""
    return not is_reference(value) and _NEARLY.match(value) is not None


def checked(reference: str) -> str:
    """Return a reference as the boot resolves it, without the white space that YAML's folding leaves at its end.

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
    """Decode what follows `aws:kms:` as Taupage did: what is not of base64's alphabet is passed over.

    Raises ReferenceInvalid.
    """
    if _KEY.match(text.strip()):
        raise ReferenceInvalid(
            "secret-is-a-key", "what follows aws:kms: names a key; a ciphertext belongs there", fix=_ENCRYPT
        )
    try:
        content = base64.b64decode(text)
    except ValueError as exc:
        raise ReferenceInvalid(
            "secret-not-base64",
            "what follows aws:kms: is not base64, or is cut off",
            fix="paste the ciphertext again, whole",
        ) from exc
    if not content:
        raise ReferenceInvalid("secret-empty", "no ciphertext follows aws:kms:", fix=_ENCRYPT)
    if len(content) > CIPHERTEXT_BYTES_MAX:
        raise ReferenceInvalid(
            "secret-too-large",
            f"the ciphertext has {len(content)} bytes; KMS takes at most {CIPHERTEXT_BYTES_MAX}",
            fix="keep large secrets in Secrets Manager and write aws:secretsmanager:NAME",
        )
    return content


def doubt(reference: str) -> tuple[str, str, str] | None:
    """Return code, message and fix for a reference that may be resolved, but hardly as it was meant."""
    _, kind, rest = reference.split(":", 2)
    if kind != "kms":
        return None
    if _NOT_BASE64.search(rest):
        url_safe = "-" in rest or "_" in rest
        fix = "write + for - and / for _" if url_safe else "remove everything but the ciphertext"
        return "secret-characters", "characters that are not of base64 are passed over, as Taupage did", fix
    if _BASE64.match(ciphertext(rest)):
        message = "what follows aws:kms: looks like base64 of base64, which KMS cannot decrypt"
        return "secret-encoded-twice", message, "paste CiphertextBlob as the AWS CLI prints it: it is base64 already"
    return None


def _check_parameter(name: str) -> None:
    is_arn = name.startswith("arn:")
    bound = _PARAMETER_ARN_CHARACTERS_MAX if is_arn else _PARAMETER_CHARACTERS_MAX
    if len(name) > bound or not (_PARAMETER_ARN if is_arn else _PARAMETER).match(name):
        message = "what follows aws:ssm: is not the name of a parameter"
        fix = "write aws:ssm:/path/name, with letters, digits and . _ - between the slashes, or the parameter's ARN"
        raise ReferenceInvalid("secret-name-malformed", message, fix=fix)
    if name.count("/") > _PARAMETER_LEVELS_MAX + is_arn and not name.startswith("/aws/"):
        message = f"a parameter's name has at most {_PARAMETER_LEVELS_MAX} levels"
        raise ReferenceInvalid("secret-name-malformed", message, fix="correct the name")


def _check_secret(name: str) -> None:
    if not (_SECRET_ARN if name.startswith("arn:") else _SECRET).match(name):
        message = "what follows aws:secretsmanager: is not the name of a secret"
        fix = "write aws:secretsmanager:NAME or NAME#MEMBER; a name has letters, digits and / _ + = . @ -, or is an ARN"
        raise ReferenceInvalid("secret-name-malformed", message, fix=fix)
