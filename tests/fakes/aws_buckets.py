"""Tags of a bucket in the call that creates it, as S3 takes them since 2025; moto drops them."""

from __future__ import annotations

import re

import aiohttp
from aiohttp import web

from fakes.counted_aws import AwsCall, CountedAws

_TAGS = re.compile(rb"<Tags>(.*)</Tags>", re.DOTALL)
_KEPT = ("authorization", "x-amz-date", "x-amz-security-token")


def tag_created_buckets(aws: CountedAws) -> None:
    """Create buckets with their tags: moto is asked for both, by keys of the caller, whose signatures it ignores."""

    async def create(call: AwsCall) -> web.Response | None:
        found = _TAGS.search(call.body)
        if found is None:
            return None
        tagging = b"<Tagging><TagSet>" + found[1] + b"</TagSet></Tagging>"
        headers = {name: value for name, value in call.headers.items() if name.lower() in _KEPT}
        async with aiohttp.ClientSession(headers=headers) as session:
            async with session.put(aws.backend + call.path, data=call.body) as answer:
                created = web.Response(status=answer.status, body=await answer.read(), content_type="text/xml")
            if created.status == 200:
                async with session.put(f"{aws.backend}{call.path}?tagging", data=tagging) as answer:
                    assert answer.status == 204, await answer.text()
        return created

    aws.extensions["s3:CreateBucket"] = create
