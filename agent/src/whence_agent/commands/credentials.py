"""whence-agent credentials: berry's command line, for machines that are not instances, and for tests by hand."""

from __future__ import annotations

import asyncio
import os
import random
import re
import sys
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from whence_agent.adapters.aws_http import S3Objects, SignedHttp
from whence_agent.adapters.by_proxy import ByProxy
from whence_agent.adapters.imds import ImdsMetadata
from whence_agent.adapters.role import GivenKeys, RoleKeys
from whence_agent.adapters.sigv4 import AwsKeys
from whence_agent.commands.files import read
from whence_agent.credentials.generations import Generations
from whence_agent.credentials.keeper import CredentialKeeper, Revocation
from whence_agent.progress.progress import Progress
from whence_agent.proxies import Proxies, find_errors, passwords
from whence_agent.redaction import Redactor
from whence_common.clock import to_instant, utc_now
from whence_common.errors import WhenceError
from whence_common.identifiers import is_application_id
from whence_common.runtime import logs
from whence_common.runtime.lifecycle import run_until_signal
from whence_common.user_data import nodes, strict_yaml

_CONFIG_BYTES_MAX = 256 * 1024
_FIRST_SECONDS_MAX = 60.0
_USAGE = 2
_LINE = re.compile(r"(?P<application>[^:\s]+):(?P<key>[^:\s]+):(?P<secret>\S+)\s*\Z")
METADATA_URL = "http://169.254.169.254"
REGION_DEFAULT = "us-east-1"
"""From this region, S3 redirects to a bucket's region."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The command line, with berry's options; `endpoint_url` and `region` are additional."""

    directory: str
    config: str
    application_id: str | None
    mint_bucket: str | None
    credentials_file: str | None
    interval_seconds: float
    once: bool
    verbose: bool
    region: str | None
    endpoint_url: str | None
    environment_keys: AwsKeys | None
    proxies: Proxies


class Usage(Exception):
    """The command line, or a file that it names, is incomplete or invalid."""


def credentials(options: Options) -> int:
    """Keep a directory's credentials current; return 0 if they are (or after SIGTERM), 1 if not, 2 for usage."""
    redactor = Redactor()
    logs.set_up(verbose=options.verbose, scrub=redactor.scrub)
    try:
        if wrong := next(find_errors(options.proxies, "environment"), ""):
            raise Usage(f"{wrong}; correct HTTPS_PROXY, HTTP_PROXY or NO_PROXY")
        for password in passwords(options.proxies):
            redactor.learn(password)
        bucket, application_id = _where(options)
        keys = _keys(options.credentials_file, application_id) or options.environment_keys
        if not Path(options.directory).is_dir():
            raise Usage(f"{options.directory} is not a directory; create it first")
        return asyncio.run(_keep(options, bucket, application_id, keys, redactor))
    except Usage as exc:
        print(f"whence-agent: {exc}", file=sys.stderr)
        return _USAGE
    except (OSError, WhenceError) as exc:
        print(f"whence-agent: {exc}", file=sys.stderr)
        return 1


async def _keep(options: Options, bucket: str, application_id: str, keys: AwsKeys | None, redactor: Redactor) -> int:
    progress = Progress(now=utc_now, monotonic=time.monotonic, boot_id="", started_at=to_instant(utc_now()))
    async with AsyncExitStack() as stack:
        direct, session = [
            await stack.enter_async_context(aiohttp.ClientSession(auto_decompress=False, middlewares=middlewares))
            for middlewares in ((), (ByProxy(options.proxies),))
        ]
        metadata = ImdsMetadata(session=direct, url=METADATA_URL)
        role = RoleKeys(metadata=metadata, now=utc_now, up_seconds=time.monotonic)
        http = SignedHttp(
            session=session, keys=role if keys is None else GivenKeys(keys),
            region=lambda: options.region or REGION_DEFAULT, endpoint_url=options.endpoint_url, now=utc_now,
            up_seconds=time.monotonic,
        )  # fmt: skip
        keeper = CredentialKeeper(
            store=S3Objects(http),
            generations=Generations(
                Path(options.directory), link=".current", group=os.getegid(), mode=0o440, flat=True
            ),
            progress=progress,
            redactor=redactor,
            revocation=Revocation(),
            poll_seconds=options.interval_seconds,
            random=random.random,
        )
        try:
            keeper.configure(bucket, application_id)
            if options.once:
                return await _once(keeper)
            await keeper.poll()
            _say(keeper)
            await run_until_signal({"credentials": keeper.run})
        finally:
            keeper.close()
    return 0


async def _once(keeper: CredentialKeeper) -> int:
    async with asyncio.timeout(_FIRST_SECONDS_MAX):
        await keeper.poll()
    _say(keeper)
    return 0 if keeper.state == "current" else 1


def _say(keeper: CredentialKeeper) -> None:
    print(f"{keeper.state}: {keeper.message}", file=sys.stdout if keeper.state == "current" else sys.stderr)


def _where(options: Options) -> tuple[str, str]:
    """Return bucket and application, from the command line or berry's configuration file. Raises Usage."""
    found: Mapping[str, object] = {}
    if options.application_id is None or options.mint_bucket is None:
        content = read(options.config, _CONFIG_BYTES_MAX)
        if content is None:
            raise Usage("pass the application with -a and the bucket with -m, or a configuration file with -f")
        root, problems = strict_yaml.parse(content.decode("utf-8", "replace"))
        if problems or not isinstance(root, nodes.MappingNode):
            why = problems[0].message if problems else "it is not a mapping"
            raise Usage(f"{options.config} is invalid: {why}")
        found = nodes.to_python(root)
    bucket = options.mint_bucket or found.get("mint_bucket")
    application_id = options.application_id or found.get("application_id")
    if not isinstance(bucket, str) or not isinstance(application_id, str):
        raise Usage(f"{options.config} has no application_id or no mint_bucket; pass them with -a and -m")
    if not is_application_id(application_id):
        raise Usage("the application's id is malformed; write it like pay-api")
    return bucket, application_id


def _keys(name: str | None, application_id: str) -> AwsKeys | None:
    """Return the keys in berry's credentials file, lines of application:access key:secret key. Raises Usage."""
    if name is None:
        return None
    content = read(name, _CONFIG_BYTES_MAX)
    if content is None:
        raise Usage("the credentials file cannot be read")
    for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.match(line)
        if match is None:
            raise Usage(f"{name}:{number}: a line must be application:access key:secret key")
        if match["application"] == application_id:
            return AwsKeys(match["key"], match["secret"])
    raise Usage(f"{name} has no line for {application_id}")
