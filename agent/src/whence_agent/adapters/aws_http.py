"""S3, KMS, Secrets Manager and parameters by signed HTTP requests, without an SDK's models (see DECISIONS.md)."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import aiohttp
import msgspec
from yarl import URL

from whence_agent.adapters.bodies import ResponseTooLarge, read_bounded
from whence_agent.adapters.by_proxy import reason
from whence_agent.adapters.role import KeySource, NoKeys
from whence_agent.adapters.sigv4 import AwsKeys, canonical_path, signed_headers
from whence_agent.ports import CredentialState, ObjectUnavailable, SecretUnavailable, StoredObject
from whence_common import strict_base64
from whence_common.aws_errors import AwsError
from whence_common.errors import one_line

_REQUEST_SECONDS_MAX = 10.0
_OBJECT_BYTES_MAX = 64 * 1024
_SECRET_BYTES_MAX = 256 * 1024
_REGIONS_MAX = 2
_METADATA = "x-amz-meta-"
_METADATA_CHARACTERS_MAX = 4096
_ERROR = re.compile(
    rb"\s*(?:<\?xml[^>]*\?>)?\s*(?:<ErrorResponse[^>]*>\s*)?<Error(?:\s[^>]*)?>.*?<Code>([A-Za-z0-9.]{1,60})</Code>",
    re.DOTALL,
)
"""S3's error document, which is XML, and that of STS around it: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html"""
_MESSAGE = re.compile(rb"<Message>([^<]{0,1000})</Message>")
_REGION_IN_BODY = re.compile(rb"<Region>([a-z0-9-]{1,40})</Region>")
_REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}\Z")
_SUFFIXES = {"cn-": "amazonaws.com.cn", "eusc-": "amazonaws.eu"}
_BY_CODE: dict[str, tuple[CredentialState, str]] = {
    "NoSuchKey": ("not-synced", "the object does not exist: mint has not synchronised it yet"),
    "NoSuchBucket": ("bucket-missing", "the bucket does not exist: check mint_bucket"),
}
_BY_KIND: dict[str, tuple[CredentialState, str]] = {
    "denied": ("not-synced-or-denied", "HTTP 403: not synchronised yet, or the instance's role may not read it"),
    "clock": ("identity", "S3 refuses the time of the request"),
    "keys": ("identity", "S3 refuses the keys of the instance's role"),
}


class AwsUnreachable(Exception):
    """There is no complete response; the message states why, without secrets."""


class Reply(NamedTuple):
    status: int
    headers: Mapping[str, str]
    content: bytes

    def __repr__(self) -> str:
        return f"Reply({self.status})"

    def error(self, now: datetime) -> AwsError:
        """Return the error in S3's XML or in JSON; without a code if the response is not AWS's."""
        code = message = ""
        if (found := _ERROR.match(self.content[:4096])) is not None:
            code = found[1].decode("ascii")
            text = _MESSAGE.search(self.content[:4096])
            message = text[1].decode("utf-8", "replace") if text is not None else ""
        elif document := _object(self.content):
            code = str(document.get("__type") or self.headers.get("x-amzn-ErrorType") or "")
            message = str(document.get("message") or document.get("Message") or "")
        return AwsError.of(
            status=self.status, code=code, message=message, date=self.headers.get("Date", ""),
            retry_after=self.headers.get("Retry-After", ""), now=now,
        )  # fmt: skip


class SignedHttp:
    """Sends signed requests with bounds. There are no retries here: callers have their own deadlines.

    Only if AWS refuses the keys is a request repeated, once, with new keys.
    """

    def __init__(
        self,
        *,
        session: aiohttp.ClientSession,
        keys: KeySource,
        region: Callable[[], str],
        endpoint_url: str | None,
        now: Callable[[], datetime],
        up_seconds: Callable[[], float],
    ) -> None:
        self._session = session
        self._keys = keys
        self.region = region
        self.endpoint_url = endpoint_url.rstrip("/") if endpoint_url is not None else None
        self.now = now
        self.up_seconds = up_seconds
        self._timeout = aiohttp.ClientTimeout(total=_REQUEST_SECONDS_MAX)

    @property
    def doubt(self) -> str:
        """A known problem of the keys, to be appended to a refusal's message."""
        return f"; {self._keys.doubt}" if self._keys.doubt else ""

    async def send(
        self, method: str, base: str, path: str, *, service: str, region: str, body: bytes, headers: Mapping[str, str],
        bytes_max: int,
    ) -> Reply:  # fmt: skip
        """Send once; if the keys are refused, send again with new keys. Raises AwsUnreachable, NoKeys."""
        keys = await self._keys()
        reply = await self._once(keys, method, base, path, service, region, body, headers, bytes_max)
        if reply.status >= 400 and reply.error(self.now()).kind == "keys":
            self._keys.refused(keys)
            others = await self._keys()
            if others != keys:
                return await self._once(others, method, base, path, service, region, body, headers, bytes_max)
        return reply

    async def _once(
        self, keys: AwsKeys, method: str, base: str, path: str, service: str, region: str, body: bytes,
        headers: Mapping[str, str], bytes_max: int,
    ) -> Reply:  # fmt: skip
        host = base.partition("://")[2]
        signed = signed_headers(
            method=method, host=host, path=path, headers=headers, body=body, keys=keys, region=region, service=service,
            now=self.now(),
        )  # fmt: skip
        try:
            async with self._session.request(
                method, URL(base + path, encoded=True), data=body or None, headers=signed,
                timeout=self._timeout, allow_redirects=False,
            ) as answer:  # fmt: skip
                return Reply(answer.status, answer.headers, await read_bounded(answer, bytes_max))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as exc:
            raise AwsUnreachable(f"there is no complete response ({reason(exc)})") from exc
        except ResponseTooLarge as exc:
            raise AwsUnreachable(f"the response has {exc}") from exc


class S3Objects:
    """Reads objects of the mint bucket conditionally. The region of a bucket in another region is remembered."""

    def __init__(self, http: SignedHttp) -> None:
        self._http = http
        self._regions: dict[str, str] = {}

    async def get(self, bucket: str, key: str, *, etag: str | None) -> StoredObject | None:
        where = f"s3://{bucket}/{key}"
        headers = {"If-None-Match": etag} if etag is not None else {}
        try:
            async with asyncio.timeout(_REQUEST_SECONDS_MAX * 2):
                reply = await self._in_its_region(bucket, key, headers)
        except NoKeys as exc:
            raise ObjectUnavailable("identity", f"{where}: {exc}") from exc
        except (AwsUnreachable, TimeoutError) as exc:
            raise ObjectUnavailable("unreachable", f"{where}: {exc or 'no response in time'}") from exc
        if reply.status == 304 and etag is not None:
            return None
        if reply.status != 200:
            raise self._refused(reply, where)
        return StoredObject(
            content=reply.content,
            etag=one_line(reply.headers.get("ETag", ""), 200),
            version_id=reply.headers.get("x-amz-version-id", ""),
            metadata=_metadata(reply.headers),
        )

    def _refused(self, reply: Reply, where: str) -> ObjectUnavailable:
        """Return the error of S3's error document. A proxy's or firewall's response is a transient error."""
        error = reply.error(self._http.now())
        if not error.code:
            message = f"HTTP {reply.status} is not a response of S3, but of something before it"
            return ObjectUnavailable("unreachable", f"{where}: {message}")
        fallback = (
            _BY_KIND["denied"] if reply.status == 403 and error.kind == "final" else ("unreachable", "S3 refuses")
        )
        state, message = _BY_CODE.get(error.code) or _BY_KIND.get(error.kind) or fallback
        doubt = self._http.doubt if state == "identity" else ""
        return ObjectUnavailable(state, f"{where}: {message} ({error}){doubt}", fix=error.fix)

    async def _in_its_region(self, bucket: str, key: str, headers: Mapping[str, str]) -> Reply:
        for _ in range(_REGIONS_MAX):
            region = self._regions.get(bucket) or self._http.region()
            base, path = self._place(bucket, key, region)
            reply = await self._http.send(
                "GET", base, path, service="s3", region=region, body=b"", headers=headers,
                bytes_max=_OBJECT_BYTES_MAX + 1,
            )  # fmt: skip
            other = _other_region(reply)
            if other is None or other == region:
                return reply
            self._regions[bucket] = other
        return reply

    def _place(self, bucket: str, key: str, region: str) -> tuple[str, str]:
        """Return base URL and path: the bucket is in the host, or in the path for other endpoints and dotted names."""
        suffix = dns_suffix(region)
        if self._http.endpoint_url is not None:
            return self._http.endpoint_url, canonical_path(f"/{bucket}/{key}")
        if "." in bucket:
            return f"https://s3.{region}.{suffix}", canonical_path(f"/{bucket}/{key}")
        return f"https://{bucket}.s3.{region}.{suffix}", canonical_path(f"/{key}")


class AwsSecrets:
    """Reads secrets from KMS (by the ciphertext's key), Secrets Manager and Systems Manager's parameters."""

    def __init__(self, http: SignedHttp) -> None:
        self._http = http

    async def decrypt(self, ciphertext: bytes, context: Mapping[str, str]) -> str:
        body: dict[str, Any] = {"CiphertextBlob": base64.b64encode(ciphertext).decode("ascii")}
        if context:
            body["EncryptionContext"] = dict(context)
        answer = await self._call("kms", "TrentService.Decrypt", "kms:Decrypt with the key", body)
        return _text(answer.get("Plaintext"))

    async def secret(self, name: str) -> str:
        target, permission = "secretsmanager.GetSecretValue", "secretsmanager:GetSecretValue on it"
        answer = await self._call("secretsmanager", target, permission, {"SecretId": name})
        found = answer.get("SecretString")
        return found if isinstance(found, str) else _text(answer.get("SecretBinary"))

    async def parameter(self, name: str) -> str:
        body = {"Name": name, "WithDecryption": True}
        answer = await self._call("ssm", "AmazonSSM.GetParameter", "ssm:GetParameter on it", body)
        parameter = answer.get("Parameter")
        value = parameter.get("Value") if isinstance(parameter, dict) else None
        if not isinstance(value, str):
            raise _malformed("ssm")
        return value

    async def _call(self, service: str, target: str, permission: str, body: Mapping[str, Any]) -> dict[str, Any]:
        region = self._http.region()
        base = self._http.endpoint_url or f"https://{service}.{region}.{dns_suffix(region)}"
        headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": target}
        try:
            reply = await self._http.send(
                "POST", base, "/", service=service, region=region, body=msgspec.json.encode(body), headers=headers,
                bytes_max=_SECRET_BYTES_MAX,
            )  # fmt: skip
        except AwsUnreachable as exc:
            raise SecretUnavailable("secret-unreachable", f"{service}: {exc}") from exc
        except NoKeys as exc:
            raise SecretUnavailable("secret-unreachable", f"{service}: {exc}", retryable=exc.retryable) from exc
        if reply.status != 200:
            raise self._refused(reply, service, permission)
        return _object(reply.content)

    def _refused(self, reply: Reply, service: str, permission: str) -> SecretUnavailable:
        error = reply.error(self._http.now())
        if not error.code and error.kind == "transient":
            message = f"{service}: HTTP {reply.status} is not a response of AWS, but of something before it"
            return SecretUnavailable("secret-unreachable", message, retry_after_seconds=error.retry_after_seconds)
        doubt = self._http.doubt if error.kind == "keys" else ""
        final = error.kind in ("denied", "final")
        codes = {"clock": "clock-wrong", "transient": "secret-unreachable"}
        return SecretUnavailable(
            codes.get(error.kind, "secret-refused"), f"{service}: {error}{doubt}",
            fix=f"correct the reference, or allow the instance's role {permission}" if final else error.fix,
            retryable=error.may_pass(up_seconds=self._http.up_seconds()),
            retry_after_seconds=error.retry_after_seconds,
        )  # fmt: skip


def dns_suffix(region: str) -> str:
    """Return the DNS suffix of a region's partition."""
    return next((suffix for start, suffix in _SUFFIXES.items() if region.startswith(start)), "amazonaws.com")


def _metadata(headers: Mapping[str, str]) -> dict[str, str]:
    """Return user metadata; nothing if it is larger than S3 allows, which is 2 KB."""
    named = {name.lower(): value for name, value in headers.items() if name.lower().startswith(_METADATA)}
    if sum(len(name) + len(value) for name, value in named.items()) > _METADATA_CHARACTERS_MAX:
        return {}
    return {name.removeprefix(_METADATA): value for name, value in named.items()}


def _other_region(reply: Reply) -> str | None:
    if reply.status not in (301, 307, 400):
        return None
    found = reply.headers.get("x-amz-bucket-region", "")
    if not found and (match := _REGION_IN_BODY.search(reply.content[:4096])) is not None:
        found = match[1].decode("ascii")
    return found if _REGION.match(found) else None


def _text(encoded: Any) -> str:
    try:
        plaintext = strict_base64.decode(encoded if isinstance(encoded, str) else "!")
    except ValueError as exc:
        raise _malformed("the response") from exc
    try:
        return plaintext.decode("utf-8")
    except UnicodeDecodeError:
        return base64.b64encode(plaintext).decode("ascii")


def _object(content: bytes) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _malformed(what: str) -> SecretUnavailable:
    return SecretUnavailable("secret-malformed", f"{what} has no valid value for the secret")
