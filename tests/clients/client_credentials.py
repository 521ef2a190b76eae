"""An application with client.json: reads it from its mint bucket, and gets tokens by client credentials.

Uses boto3 and requests-oauthlib as they are. For each line of its standard input it reads the bucket again; until the
next one it uses what it has read, and prints a line: how many tokens it got, which client id it used, and each refusal.
"""

from __future__ import annotations

import json
import os
import sys

import boto3
from oauthlib.oauth2 import BackendApplicationClient, OAuth2Error
from requests_oauthlib import OAuth2Session

BUCKET, KEY, TOKEN_URL, S3_URL = sys.argv[1:5]
TOKENS_EACH = 3
os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"  # the provider is on loopback


def main() -> None:
    s3 = boto3.client("s3", endpoint_url=S3_URL)
    held: dict[str, str] = {}
    for line in sys.stdin:
        refused, tokens = [], 0
        if line.strip() == "read":
            held = json.loads(s3.get_object(Bucket=BUCKET, Key=KEY)["Body"].read())
        for _ in range(TOKENS_EACH):
            session = OAuth2Session(client=BackendApplicationClient(client_id=held["client_id"]))
            try:
                session.fetch_token(TOKEN_URL, client_id=held["client_id"], client_secret=held["client_secret"])
                tokens += 1
            except OAuth2Error as exc:
                refused.append(str(exc))
        print(json.dumps({"tokens": tokens, "client_id": held["client_id"], "refused": refused}), flush=True)


main()
