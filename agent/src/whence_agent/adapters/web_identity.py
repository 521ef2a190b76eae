"""AWS's outbound web identity federation: STS signs a JWT about the instance's role."""

from __future__ import annotations

import re
from urllib.parse import urlencode

from whence_agent.adapters.aws_http import AwsUnreachable, Reply, SignedHttp
from whence_agent.adapters.role import NoKeys
from whence_agent.ports import SecretUnavailable
from whence_common.sts_proof import sts_host

TOKEN_SECONDS = 300
"""The token is exchanged at once."""
_ANSWER_BYTES_MAX = 64 * 1024
_TOKEN = re.compile(
    rb"<WebIdentityToken>\s*([A-Za-z0-9_-]{1,10000}(?:\.[A-Za-z0-9_-]{1,20000}){2})\s*</WebIdentityToken>"
)
_FIXES = {
    "OutboundWebIdentityFederationDisabledException": "enable outbound web identity federation in the account: "
    "iam:EnableOutboundWebIdentityFederation",
    "SessionDurationEscalationException": f"allow the instance's role tokens of {TOKEN_SECONDS} seconds: "
    "sts:DurationSeconds",
}
"""By STS's error code."""


class StsWebIdentity:
    """Requests tokens at STS's regional endpoint, the only kind that signs them."""

    def __init__(self, http: SignedHttp) -> None:
        self._http = http

    async def token(self, audience: str) -> str:
        region = self._http.region()
        base = self._http.endpoint_url or f"https://{sts_host(region)}"
        form = {
            "Action": "GetWebIdentityToken", "Version": "2011-06-15", "Audience.member.1": audience,
            "SigningAlgorithm": "RS256", "DurationSeconds": str(TOKEN_SECONDS),
        }  # fmt: skip
        headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
        try:
            reply = await self._http.send(
                "POST", base, "/", service="sts", region=region, body=urlencode(form).encode("ascii"), headers=headers,
                bytes_max=_ANSWER_BYTES_MAX,
            )  # fmt: skip
        except AwsUnreachable as exc:
            raise SecretUnavailable("web-identity-unreachable", f"sts:GetWebIdentityToken: {exc}") from exc
        except NoKeys as exc:
            message = f"sts:GetWebIdentityToken: {exc}"
            raise SecretUnavailable("web-identity-no-keys", message, retryable=exc.retryable) from exc
        if reply.status != 200:
            raise self._refused(reply, audience)
        found = _TOKEN.search(reply.content)
        if found is None:
            raise SecretUnavailable("web-identity-malformed", "sts:GetWebIdentityToken: the response has no token")
        return found[1].decode("ascii")

    def _refused(self, reply: Reply, audience: str) -> SecretUnavailable:
        error = reply.error(self._http.now())
        if not error.code:
            message = (
                f"sts:GetWebIdentityToken: HTTP {reply.status} is not a response of STS, but of something before it"
            )
            return SecretUnavailable("web-identity-unreachable", message, retry_after_seconds=error.retry_after_seconds)
        doubt = self._http.doubt if error.kind == "keys" else ""
        allow = f"allow the instance's role sts:GetWebIdentityToken with sts:IdentityTokenAudience {audience}"
        return SecretUnavailable(
            "clock-wrong" if error.kind == "clock" else "web-identity-refused",
            f"sts:GetWebIdentityToken: {error}{doubt}",
            fix=_FIXES.get(error.code) or (allow if error.kind == "denied" else error.fix),
            retryable=error.may_pass(up_seconds=self._http.up_seconds()),
            retry_after_seconds=error.retry_after_seconds,
        )
