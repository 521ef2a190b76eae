"""Classify the errors of a registry: the cause, the fix, and whether it is transient."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from datetime import datetime

import aiohttp

from whence_agent.adapters.by_proxy import reason
from whence_agent.ports import RegistryRefused
from whence_common.backoff import retry_after_seconds
from whence_common.clock import to_instant
from whence_common.errors import one_line
from whence_common.registry_answers import ErrorDocument, may_pass

UNAUTHORISED = "registry-unauthorised"
"""The code for a missing or refused login."""
_NOT_THERE = frozenset({"MANIFEST_UNKNOWN", "NAME_UNKNOWN", "NAME_INVALID", "BLOB_UNKNOWN", "TAG_INVALID", "NOT_FOUND"})
"""Registries' codes for missing content; NOT_FOUND is Harbor's."""
_DENIED = frozenset({"DENIED", "UNAUTHORIZED"})
_NOT_YET_VALID, _EXPIRED = 9, 10
"""OpenSSL's X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED."""
AT_FAULT = "the registry, or something before it, is at fault; report this to its owner"


def refusal(
    status: int,
    content: bytes,
    headers: Mapping[str, str],
    *,
    registry: str,
    what: str,
    shown: bool,
    now: datetime,
) -> RegistryRefused:
    """Return the error for a status other than 200. `what` was requested; `shown` states whether a login was sent.

    An error document of the distribution specification is the registry's, and permanent. Other responses with 403 or
    404 may come from a load balancer or proxy whose registry is not up yet, and are transient.
    """
    stated = ErrorDocument.parse(content)
    codes, words = stated.codes, f" ({stated.words})" if stated.words else ""
    where = f"HTTP {status} from {registry} for {what}{words}"
    after = retry_after_seconds(headers.get("Retry-After", ""), now=now)
    if may_pass(status, content):
        return RegistryRefused("registry-error", where, retry_after_seconds=after, fix=AT_FAULT)
    if status == 401 or (status == 403 and codes & _DENIED):
        why = "the login is refused" if shown else "a login is required, but none is configured"
        fix = "allow this instance to pull from the registry" if shown else "add a login for it: dockercfg or sign_in"
        return RegistryRefused(UNAUTHORISED, f"{where}: {why}", retryable=False, fix=fix)
    if status == 403:
        return RegistryRefused(
            UNAUTHORISED, f"{where}: forbidden, without an error document of the registry",
            retry_after_seconds=after, fix="check the proxy, firewall or load balancer before the registry",
        )  # fmt: skip
    if status == 404 and codes & _NOT_THERE:
        return RegistryRefused(
            "registry-image-unknown", f"{where}: image not found",
            retryable=False, fix="push the image, or correct source",
        )  # fmt: skip
    if status == 404:
        return RegistryRefused(
            "registry-image-unknown", f"{where}: not found, without an error document of the registry",
            retry_after_seconds=after, fix="push the image, correct source, or check the proxy before the registry",
        )  # fmt: skip
    return RegistryRefused("registry-error", where, retryable=False, fix=AT_FAULT)


def unreachable(registry: str, exc: Exception, now: datetime) -> RegistryRefused:
    """Return the error for an unreachable registry, or host that it redirects to: DNS, network, TLS or timeout."""
    if isinstance(exc, (aiohttp.ClientHttpProxyError, aiohttp.ClientProxyConnectionError)):
        return _away(registry, reason(exc), "check the setting proxy, and the proxy")
    if isinstance(exc, aiohttp.ClientConnectorCertificateError):
        return _certificate(registry, exc.certificate_error, now)
    if isinstance(exc, aiohttp.ClientConnectorDNSError):
        return _away(registry, "its name does not resolve", "check the name, and the DNS of this network")
    if isinstance(exc, aiohttp.ClientSSLError):
        broken = getattr(exc.os_error, "reason", None) or type(exc.os_error).__name__
        return _away(
            registry, f"TLS fails ({one_line(str(broken), 80)})", "check that it has TLS; plain_http is without TLS"
        )
    if isinstance(exc, (UnicodeError, aiohttp.InvalidURL)):
        return RegistryRefused(
            "registry-unreachable", f"{registry} is not a valid host name", retryable=False,
            fix="correct source",
        )  # fmt: skip
    if isinstance(exc, TimeoutError):
        return _away(registry, "timeout", "check that it runs, and the network and its firewalls")
    if isinstance(exc, aiohttp.ClientConnectorError) and isinstance(exc.os_error, ConnectionRefusedError):
        return _away(registry, "the connection is refused", "check that it runs at this port")
    if isinstance(exc, aiohttp.ClientPayloadError):
        return _away(registry, "its response is incomplete", AT_FAULT)
    return _away(registry, f"no response ({type(exc).__name__})", "check that it runs, and the network")


def _away(registry: str, why: str, fix: str) -> RegistryRefused:
    return RegistryRefused("registry-unreachable", f"the registry {registry} is unreachable: {why}", fix=fix)


def _certificate(registry: str, error: Exception, now: datetime) -> RegistryRefused:
    """Return the error for a certificate: transient if a wrong clock may be the cause, else permanent."""
    number = error.verify_code if isinstance(error, ssl.SSLCertVerificationError) else 0
    if number in (_NOT_YET_VALID, _EXPIRED):
        state = "is not yet valid" if number == _NOT_YET_VALID else "has expired"
        return RegistryRefused(
            "registry-certificate-time",
            f"the certificate of {registry} {state}; this machine's clock is at {to_instant(now)}",
            fix="if the clock is wrong, set it (chronyc tracking); else renew the registry's certificate",
        )
    broken = getattr(error, "verify_message", "") or type(error).__name__
    return RegistryRefused(
        "registry-certificate", f"the certificate of {registry} is not trusted: {one_line(str(broken), 120)}",
        retryable=False, fix="add its CA to this machine's, or correct the registry's certificate",
    )  # fmt: skip
