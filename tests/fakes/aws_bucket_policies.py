"""Policies of buckets, kept beside moto, in S3's own protocol.

moto ignores the principals and conditions of a bucket's policy: what is denied to one role, or without TLS, is denied
to everybody. Calls about policies are answered here, so that moto has none and other calls are not judged by it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from aiohttp import web

from fakes.counted_aws import AwsCall, CountedAws


@dataclass
class BucketPolicies:
    """Policies by bucket, as they were put."""

    kept: dict[str, bytes] = field(default_factory=dict)

    def install(self, aws: CountedAws) -> None:
        """Answer the calls in moto's place."""
        aws.extensions["s3:PutBucketPolicy"] = self._put
        aws.extensions["s3:GetBucketPolicy"] = self._get
        aws.extensions["s3:DeleteBucketPolicy"] = self._delete

    def _put(self, call: AwsCall) -> web.Response:
        self.kept[_bucket(call)] = call.body
        return web.Response(status=204)

    def _get(self, call: AwsCall) -> web.Response:
        policy = self.kept.get(_bucket(call))
        if policy is not None:
            return web.Response(body=policy, content_type="application/json")
        error = "<Error><Code>NoSuchBucketPolicy</Code><Message>The bucket policy does not exist</Message></Error>"
        return web.Response(status=404, text=error, content_type="application/xml")

    def _delete(self, call: AwsCall) -> web.Response:
        self.kept.pop(_bucket(call), None)
        return web.Response(status=204)


def _bucket(call: AwsCall) -> str:
    return call.path.partition("?")[0].strip("/")
