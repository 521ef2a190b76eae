"""Rules of S3 that moto lacks: the expected owner of a bucket, and the checksum of what is written.

Both are S3's own: "Verifying bucket ownership with bucket owner condition" and "Checking object integrity" of its
User Guide.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field

from aiohttp import web

from fakes.counted_aws import AwsCall


@dataclass
class S3Rules:
    """`owners` are accounts by bucket; a bucket that is not among them is judged by moto alone."""

    owners: dict[str, str] = field(default_factory=dict)
    unowned: list[str] = field(default_factory=list)
    """Calls to buckets that did not state the owner."""

    def answer(self, call: AwsCall) -> web.Response | None:
        """Return S3's refusal of a call; None if moto is to answer it."""
        bucket = call.path.partition("?")[0].strip("/").partition("/")[0]
        if not call.name.startswith("s3:") or bucket not in self.owners:
            return None
        owner = header(call, "x-amz-expected-bucket-owner")
        if not owner:
            self.unowned.append(call.name)
        if owner not in ("", self.owners[bucket]):
            return refused("AccessDenied", "Access Denied", 403)
        checksum = header(call, "x-amz-checksum-sha256")
        if call.name == "s3:PutObject" and checksum != base64.b64encode(hashlib.sha256(call.body).digest()).decode():
            return refused("BadDigest", "The SHA256 you specified did not match the calculated checksum.", 400)
        return None


def header(call: AwsCall, name: str) -> str:
    """Return a header of a call; empty if it has none of this name."""
    return next((value for one, value in call.headers.items() if one.lower() == name), "")


def refused(code: str, message: str, status: int, **headers: str) -> web.Response:
    """Return an error in S3's form. Underscores in names of headers stand for dashes."""
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return web.Response(status=status, text=body, content_type="application/xml", headers=named)
