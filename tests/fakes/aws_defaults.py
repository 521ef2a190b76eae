"""Defaults of EC2 that moto lacks, in EC2's own protocol: metadata service, sharing of images and snapshots, EBS's key.

The answers are held to botocore's service model by `tests/contract/test_account_defaults.py`. What moto has is left to
it. A new account answers as AWS documents it: no preference for the metadata service, and nothing blocked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from aiohttp import web

from fakes.counted_aws import AwsCall, CountedAws

_METADATA = {
    "HttpTokens": "httpTokens", "HttpPutResponseHopLimit": "httpPutResponseHopLimit", "HttpEndpoint": "httpEndpoint",
    "InstanceMetadataTags": "instanceMetadataTags",
}  # fmt: skip
"""Parameters of ModifyInstanceMetadataDefaults, and the elements of the answer."""


@dataclass
class Ec2Defaults:
    """Defaults by account and region. `managed_by_policy` refuses changes, as a declarative policy does."""

    kept: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    managed_by_policy: bool = False

    def install(self, aws: CountedAws) -> None:
        """Answer these calls in moto's place."""
        answers: dict[str, Callable[[AwsCall, dict[str, str]], str]] = {
            "GetInstanceMetadataDefaults": self._metadata,
            "ModifyInstanceMetadataDefaults": self._modify_metadata,
            "GetImageBlockPublicAccessState": lambda _, kept: _one(
                "imageBlockPublicAccessState", kept.get("images", "unblocked")
            ),
            "EnableImageBlockPublicAccess": self._set(
                "images", "ImageBlockPublicAccessState", "imageBlockPublicAccessState"
            ),
            "GetSnapshotBlockPublicAccessState": lambda _, kept: _one("state", kept.get("snapshots", "unblocked")),
            "EnableSnapshotBlockPublicAccess": self._set("snapshots", "State", "state"),
            "GetEbsDefaultKmsKeyId": lambda _, kept: _one("kmsKeyId", kept.get("key", "alias/aws/ebs")),
            "ModifyEbsDefaultKmsKeyId": self._set("key", "KmsKeyId", "kmsKeyId"),
        }
        for action, answer in answers.items():
            aws.extensions[f"ec2:{action}"] = self._answer(action, answer)

    def of(self, account_id: str, region: str) -> dict[str, str]:
        return self.kept.setdefault((account_id, region), {})

    def _answer(
        self, action: str, answer: Callable[[AwsCall, dict[str, str]], str]
    ) -> Callable[[AwsCall], web.Response]:
        def answered(call: AwsCall) -> web.Response:
            if call.is_write and self.managed_by_policy:
                return _refusal("DeclarativePolicyViolation", "This functionality has been disabled by a policy.")
            body = answer(call, self.of(call.account_id, call.region))
            return _xml(f'<{action}Response xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">'
                        f"<requestId>1-2-3</requestId>{body}</{action}Response>")  # fmt: skip

        return answered

    @staticmethod
    def _metadata(call: AwsCall, kept: dict[str, str]) -> str:
        values = "".join(_one(element, kept[name]) for name, element in _METADATA.items() if name in kept)
        return f"<accountLevel>{values}<managedBy>account</managedBy></accountLevel>"

    @staticmethod
    def _modify_metadata(call: AwsCall, kept: dict[str, str]) -> str:
        kept |= {name: call.form[name] for name in _METADATA if name in call.form}
        return _one("return", "true")

    @staticmethod
    def _set(name: str, parameter: str, element: str) -> Callable[[AwsCall, dict[str, str]], str]:
        def put(call: AwsCall, kept: dict[str, str]) -> str:
            kept[name] = call.form[parameter]
            return _one(element, kept[name])

        return put


def _one(element: str, text: str) -> str:
    return f"<{element}>{escape(text)}</{element}>"


def _refusal(code: str, message: str) -> web.Response:
    body = f"<Response><Errors><Error>{_one('Code', code)}{_one('Message', message)}</Error></Errors><RequestID>1</RequestID></Response>"
    return _xml(body, status=400)


def _xml(body: str, status: int = 200) -> web.Response:
    return web.Response(status=status, text=f"<?xml version='1.0'?>{body}", content_type="text/xml")
