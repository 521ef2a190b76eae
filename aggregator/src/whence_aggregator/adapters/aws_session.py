"""Sessions of the AWS SDK that share the descriptions of services which they have read."""

from __future__ import annotations

from contextlib import suppress
from functools import cache

from aiobotocore.session import AioSession
from botocore.exceptions import BotoCoreError
from botocore.loaders import Loader, create_loader


def aws_session(profile: str | None = None) -> AioSession:
    """Return a new session, with a profile of the SDK's configuration or none.

    A session of its own would read its own copies: those of EC2 and STS take a fifth of a second.
    """
    session = AioSession(profile=profile)
    share_descriptions(session)
    return session


def share_descriptions(session: AioSession) -> None:
    """Have a session take the descriptions that others of the same data path have read."""
    with suppress(BotoCoreError):  # of a profile or file that is wrong, which the session's first client names
        session.register_component("data_loader", _loader(session.get_config_variable("data_path")))


@cache
def _loader(data_path: str | None) -> Loader:
    return create_loader(data_path)
