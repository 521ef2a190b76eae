"""Sessions of the AWS SDK share what they have read of its services, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aiobotocore.session import AioSession
from botocore.exceptions import ProfileNotFound, UnknownServiceError

from whence_aggregator.adapters.aws_session import aws_session, share_descriptions


def _described(session: AioSession, service: str) -> Any:
    return session.get_component("data_loader").load_service_model(service, "service-2")


def _of_path(path: Path) -> AioSession:
    session = AioSession()
    session.set_config_variable("data_path", str(path))
    share_descriptions(session)
    return session


def test_a_second_session_reads_no_description_again() -> None:
    assert _described(aws_session(), "sts") is _described(aws_session(), "sts")
    assert _described(AioSession(), "sts") is not _described(AioSession(), "sts"), "the SDK shares nothing of itself"


def test_sessions_share_no_credentials() -> None:
    one, other = aws_session(), aws_session()
    one.set_credentials("key", "secret")
    assert one.get_component("credential_provider") is not other.get_component("credential_provider")


def test_a_profile_that_is_nowhere_is_named_by_the_first_use_and_not_before() -> None:
    session = aws_session("nowhere")
    with pytest.raises(ProfileNotFound, match="nowhere"):
        session.get_component("data_loader")


def test_another_data_path_has_descriptions_of_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "ours" / "2026-01-01"
    folder.mkdir(parents=True)
    (folder / "service-2.json").write_text(json.dumps({"metadata": {"serviceId": "Ours"}}), encoding="ascii")
    assert _described(_of_path(tmp_path), "ours") == {"metadata": {"serviceId": "Ours"}}
    with pytest.raises(UnknownServiceError):
        _described(aws_session(), "ours")
