"""What a registry's answer, or its silence, means: what is wrong, who is at fault, and whether it may pass."""

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
"""The code for a sign-in that is missing, or is not accepted."""
_NOT_THERE = frozenset({"MANIFEST_UNKNOWN", "NAME_UNKNOWN", "NAME_INVALID", "BLOB_UNKNOWN", "TAG_INVALID", "NOT_FOUND"})
"""The registry's own codes for what it does not have; NOT_FOUND is Harbor's."""
_DENIED = frozenset({"DENIED", "UNAUTHORIZED"})
_NOT_YET_VALID, _EXPIRED = 9, 10
"""OpenSSL's X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED."""
AT_FAULT = "the registry or something before it is at fault; tell its owner"


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
    """Return the error for a status other than 200. `what` is what was asked for; `shown` is whether a login was.

    An error document in the form of the distribution specification is the registry's own word, and is final. Anything
    else with 403 or 404 may be a load balancer or a proxy whose registry is not up yet, and may pass.
    """
    stated = ErrorDocument.parse(content)
    codes, words = stated.codes, f" ({stated.words})" if stated.words else ""
    where = f"HTTP {status} from {registry} for {what}{words}"
    after = retry_after_seconds(headers.get("Retry-After", ""), now=now)
    if may_pass(status, content):
        return RegistryRefused("registry-error", where, retry_after_seconds=after, fix=AT_FAULT)
    if status == 401 or (status == 403 and codes & _DENIED):
        why = "the login that it was shown is not accepted" if shown else "sign-in is needed, and no login is known"
        fix = "allow this instance to pull from the registry" if shown else "add a login for it: dockercfg or sign_in"
        return RegistryRefused(UNAUTHORISED, f"{where}: {why}", retryable=False, fix=fix)
    if status == 403:
        return RegistryRefused(
            UNAUTHORISED, f"{where}: forbidden, and not by the registry's own error document",
            retry_after_seconds=after, fix="see what is before the registry: a proxy, a firewall or a load balancer",
        )  # fmt: skip
    if status == 404 and codes & _NOT_THERE:
        return RegistryRefused(
            "registry-image-unknown", f"{where}: the registry has no such image",
            retryable=False, fix="push the image, or correct source",
        )  # fmt: skip
    if status == 404:
        return RegistryRefused(
            "registry-image-unknown", f"{where}: not found, and not by the registry's own error document",
            retry_after_seconds=after, fix="push the image, correct source, or see what is before the registry",
        )  # fmt: skip
    return RegistryRefused("registry-error", where, retryable=False, fix=AT_FAULT)


def unreachable(registry: str, exc: Exception, now: datetime) -> RegistryRefused:
    """Return the error for a registry, or a host that it sent us to, that did not answer: DNS, network, TLS or time."""
    if isinstance(exc, (aiohttp.ClientHttpProxyError, aiohttp.ClientProxyConnectionError)):
        return _away(registry, reason(exc), "see the setting proxy, and the proxy itself")
    if isinstance(exc, aiohttp.ClientConnectorCertificateError):
        return _certificate(registry, exc.certificate_error, now)
    if isinstance(exc, aiohttp.ClientConnectorDNSError):
        return _away(registry, "its name does not resolve", "see the name, and the DNS of this network")
    if isinstance(exc, aiohttp.ClientSSLError):
        broken = getattr(exc.os_error, "reason", None) or type(exc.os_error).__name__
        return _away(
            registry, f"TLS fails ({one_line(str(broken), 80)})", "see whether it has TLS; plain_http is without"
        )
    if isinstance(exc, (UnicodeError, aiohttp.InvalidURL)):
        return RegistryRefused(
            "registry-unreachable", f"{registry} is not a name that can be looked up", retryable=False,
            fix="correct source",
        )  # fmt: skip
    if isinstance(exc, TimeoutError):
        return _away(registry, "it does not answer in time", "see whether it runs, and the network and its firewalls")
    if isinstance(exc, aiohttp.ClientConnectorError) and isinstance(exc.os_error, ConnectionRefusedError):
        return _away(registry, "the connection is refused", "see whether it runs at this port")
    if isinstance(exc, aiohttp.ClientPayloadError):
        return _away(registry, "its answer breaks off", AT_FAULT)
    return _away(registry, f"no answer ({type(exc).__name__})", "see whether it runs, and the network")


def _away(registry: str, why: str, fix: str) -> RegistryRefused:
    return RegistryRefused("registry-unreachable", f"the registry {registry} does not answer: {why}", fix=fix)


def _certificate(registry: str, error: Exception, now: datetime) -> RegistryRefused:
    """Tell apart what a clock that is not set yet explains, which passes, and what only a person can mend."""
    number = error.verify_code if isinstance(error, ssl.SSLCertVerificationError) else 0
    if number in (_NOT_YET_VALID, _EXPIRED):
        state = "is not yet valid" if number == _NOT_YET_VALID else "has expired"
        return RegistryRefused(
            "registry-certificate-time",
            f"the certificate of {registry} {state}, where it is {to_instant(now)} by this machine's clock",
            fix="if that is not the time, set the clock (chronyc tracking); else renew the registry's certificate",
        )
    broken = getattr(error, "verify_message", "") or type(error).__name__
    return RegistryRefused(
        "registry-certificate", f"the certificate of {registry} is not trusted: {one_line(str(broken), 120)}",
        retryable=False, fix="add its authority to those of this machine, or correct the registry's certificate",
    )  # fmt: skip
