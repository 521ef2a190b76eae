"""AWS Signature Version 4 for one request. Pure; checked against botocore's own signer by a property test."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple
from urllib.parse import quote

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()


class AwsKeys(NamedTuple):
    """An access key, its secret, and the session token of a role's keys. `repr` does not contain them."""

    access_key: str
    secret_key: str
    token: str = ""

    def __repr__(self) -> str:
        return "AwsKeys()"


def canonical_path(path: str) -> str:
    """Return a path, encoded once, as S3's signatures require."""
    return quote(path, safe="/-_.~")


def signed_headers(
    *,
    method: str,
    host: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes,
    keys: AwsKeys,
    region: str,
    service: str,
    now: datetime,
) -> dict[str, str]:
    """Return the headers to send: `headers`, the date, the token, the content's hash and the signature.

    `path` must be encoded; queries are not supported, and services other than S3 only at `/`.
    """
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    content = hashlib.sha256(body).hexdigest() if body else EMPTY_SHA256
    sent = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
    sent |= {"host": host, "x-amz-date": stamp}
    if service == "s3":
        sent["x-amz-content-sha256"] = content
    if keys.token:
        sent["x-amz-security-token"] = keys.token
    names = ";".join(sorted(sent))
    canonical = "\n".join([method, path, "", *(f"{name}:{sent[name]}" for name in sorted(sent)), "", names, content])
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    to_sign = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{keys.secret_key}".encode()
    for part in (stamp[:8], region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    credential = f"{keys.access_key}/{scope}"
    sent["authorization"] = f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}"
    return sent
