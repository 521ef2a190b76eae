"""S3 and secrets through aiobotocore. The S3 client lives as long as the agent; the others for one call."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any

from whence_agent.ports import CredentialState, ObjectUnavailable, SecretUnavailable, StoredObject
from whence_common.errors import one_line

_REQUEST_SECONDS_MAX = 10.0
_ATTEMPTS_MAX = 3
_OBJECT_BYTES_MAX = 64 * 1024
_BY_CODE: dict[str, tuple[CredentialState, str]] = {
    "NoSuchKey": ("not-synced", "the object does not exist yet: mint has not synchronised it"),
    "NoSuchBucket": ("bucket-missing", "the bucket does not exist: check mint_bucket"),
    "AccessDenied": ("not-synced-or-denied", "HTTP 403: not synchronised yet, or the instance's role may not read it"),
    "403": ("not-synced-or-denied", "HTTP 403: not synchronised yet, or the instance's role may not read it"),
    "ExpiredToken": ("identity", "the instance role's credentials have expired"),
    "InvalidAccessKeyId": ("identity", "the instance role's credentials are not known to AWS"),
}


class AwsClients:
    """Makes clients in the instance's region, known once they are needed.

    The credentials are the instance role's, unless `keys` has others.
    """

    def __init__(
        self,
        *,
        endpoint_url: str | None,
        metadata_url: str,
        region: Callable[[], str | None],
        keys: Mapping[str, str] | None = None,
    ) -> None:
        self._region = region
        self._keys = keys or {}
        self._endpoint_url = endpoint_url
        self._metadata_url = metadata_url
        self._stack = AsyncExitStack()
        self._clients: dict[str, Any] = {}
        self._making = asyncio.Lock()

    async def client(self, service: str) -> Any:
        """Give the client of a service. Raises what botocore raises."""
        async with self._making:
            if service not in self._clients:
                self._clients[service] = await self._stack.enter_async_context(self._make(service))
            return self._clients[service]

    def once(self, service: str) -> Any:
        """Give a client for one use, as an async context."""
        return self._make(service)

    async def close(self) -> None:
        """Close all clients."""
        await self._stack.aclose()

    def _make(self, service: str) -> Any:
        from aiobotocore.config import AioConfig
        from aiobotocore.session import get_session

        session = get_session()
        session.set_config_variable("ec2_metadata_service_endpoint", self._metadata_url)
        config = AioConfig(
            connect_timeout=_REQUEST_SECONDS_MAX,
            read_timeout=_REQUEST_SECONDS_MAX,
            retries={"max_attempts": _ATTEMPTS_MAX, "mode": "standard"},
            s3={"addressing_style": "path" if self._endpoint_url else "auto"},
        )
        return session.create_client(
            service, region_name=self._region(), endpoint_url=self._endpoint_url, config=config, **self._keys
        )


class S3Objects:
    """Objects of the mint bucket, conditionally."""

    def __init__(self, clients: AwsClients) -> None:
        self._clients = clients

    async def get(self, bucket: str, key: str, *, etag: str | None) -> StoredObject | None:
        from botocore.exceptions import BotoCoreError, ClientError

        condition = {"IfNoneMatch": etag} if etag is not None else {}
        try:
            async with asyncio.timeout(_REQUEST_SECONDS_MAX * 2):
                client = await self._clients.client("s3")
                answer = await client.get_object(Bucket=bucket, Key=key, **condition)
                async with answer["Body"] as body:
                    content = await body.read(_OBJECT_BYTES_MAX + 1)
            whole = min(int(answer["ContentLength"]), _OBJECT_BYTES_MAX + 1)
            if len(content) < whole:
                raise ConnectionError(f"{len(content)} of {whole} bytes")
        except ClientError as exc:
            code = str(exc.response.get("Error", {}).get("Code", ""))
            if code in ("304", "NotModified"):
                return None
            state, message = _BY_CODE.get(code, ("unreachable", f"S3 answers {code or 'without a code'}"))
            raise ObjectUnavailable(state, f"s3://{bucket}/{key}: {message}") from exc
        except BotoCoreError as exc:
            state = "identity" if type(exc).__name__ == "NoCredentialsError" else "unreachable"
            raise ObjectUnavailable(state, f"s3://{bucket}/{key}: {type(exc).__name__}") from exc
        except (OSError, TimeoutError, ValueError) as exc:
            message = f"s3://{bucket}/{key}: the answer broke off ({type(exc).__name__})"
            raise ObjectUnavailable("unreachable", message) from exc
        except Exception as exc:
            raise _translated(exc, f"s3://{bucket}/{key}") from exc
        return StoredObject(content=bytes(content), etag=str(answer["ETag"]))


def _translated(exc: Exception, where: str) -> Exception:
    """Body reads raise aiohttp's own errors; everything else is our bug and stays as it is."""
    if type(exc).__module__.partition(".")[0] in ("aiohttp", "aiobotocore"):
        return ObjectUnavailable("unreachable", f"{where}: the answer broke off ({type(exc).__name__})")
    return exc


class AwsSecrets:
    """KMS with whatever key a ciphertext names, Secrets Manager, and Systems Manager's parameters."""

    def __init__(self, clients: AwsClients) -> None:
        self._clients = clients

    async def decrypt(self, ciphertext: bytes, context: Mapping[str, str]) -> str:
        parameters: dict[str, Any] = {"CiphertextBlob": ciphertext}
        if context:
            parameters["EncryptionContext"] = dict(context)
        answer = await self._call("kms", "decrypt", "kms:Decrypt with the key", **parameters)
        return _text(answer["Plaintext"])

    async def secret(self, name: str) -> str:
        answer = await self._call(
            "secretsmanager", "get_secret_value", "secretsmanager:GetSecretValue on it", SecretId=name
        )
        return str(answer["SecretString"]) if "SecretString" in answer else _text(answer["SecretBinary"])

    async def parameter(self, name: str) -> str:
        answer = await self._call("ssm", "get_parameter", "ssm:GetParameter on it", Name=name, WithDecryption=True)
        return str(answer["Parameter"]["Value"])

    async def _call(self, service: str, operation: str, permission: str, **parameters: Any) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

        try:
            async with asyncio.timeout(_REQUEST_SECONDS_MAX * 2), self._clients.once(service) as client:
                return await getattr(client, operation)(**parameters)
        except ClientError as exc:
            code = str(exc.response.get("Error", {}).get("Code", ""))
            raise SecretUnavailable(
                "secret-refused",
                f"{service} answers {one_line(code, 60)}",
                fix=f"allow the instance's role {permission}",
            ) from exc
        except ParamValidationError as exc:
            message = f"{service} does not take this reference"
            raise SecretUnavailable("secret-malformed", message, retryable=False, fix="correct it") from exc
        except (BotoCoreError, OSError, TimeoutError) as exc:
            message = f"{service} does not answer ({type(exc).__name__})"
            raise SecretUnavailable("secret-unreachable", message) from exc


def _text(plaintext: bytes) -> str:
    try:
        return plaintext.decode("utf-8")
    except UnicodeDecodeError:
        return base64.b64encode(plaintext).decode("ascii")
