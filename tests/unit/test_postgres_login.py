"""A DSN that names the file with the password: what is refused, and that the password is read for each connection."""

from __future__ import annotations

from pathlib import Path

import pytest

from whence_aggregator.ports import StorageUnavailable
from whence_aggregator.storage.postgres_login import PASSWORD_BYTES_MAX, login


def test_a_dsn_without_a_password_file_is_left_as_it_is() -> None:
    for dsn in (
        "postgresql://whence:a%40b@db.example.org:5433/whence?sslmode=verify-full", "postgresql:///whence?host=/run",
    ):  # fmt: skip
        assert login(dsn) == (dsn, {})


@pytest.mark.parametrize(
    "dsn, left",
    [
        ("postgresql://whence@db/whence?password_file={}", "postgresql://whence@db/whence"),
        ("postgresql:///whence?host=/run&password_file={}", "postgresql:///whence?host=/run"),
        ("postgresql://w@a:1,b:2/x?password_file={}&sslmode=verify-full", "postgresql://w@a:1,b:2/x?sslmode=verify-full"),
    ],
)  # fmt: skip
def test_the_file_is_taken_out_of_the_dsn_and_read_again_for_each_connection(
    dsn: str, left: str, tmp_path: Path
) -> None:
    file = tmp_path / "pass word"
    file.write_text("erste p%40ss\n", encoding="utf-8")
    place, password = login(dsn.format(str(file).replace(" ", "%20")))
    assert place == left
    assert password["password"]() == "erste p%40ss"
    file.write_text("zweite", encoding="utf-8")
    assert password["password"]() == "zweite"


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://whence:s3cret@db/whence?password_file=/f", "postgresql://whence@db/w?password=s3cret&password_file=/f",
        "postgresql://whence@db/whence?password_file=/f&password_file=/g",
    ],
)  # fmt: skip
def test_two_passwords_are_refused_and_not_shown(dsn: str) -> None:
    with pytest.raises(StorageUnavailable) as caught:
        login(dsn)
    assert "more than one password" in caught.value.message
    assert "s3cret" not in caught.value.diagnostics()


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"s3cret\r\n", b"s3cret\nmore\n", b"s3cret\0", b"\xff\xfes3cret", b"s" * (PASSWORD_BYTES_MAX + 1)],
)
def test_a_file_that_is_no_password_is_refused_with_its_name_and_without_its_content(
    content: bytes, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_bytes(content)
    _, password = login(f"postgresql://whence@db/whence?password_file={file}")
    with pytest.raises(StorageUnavailable) as caught:
        password["password"]()
    assert str(file) in caught.value.message
    assert "s3cret" not in caught.value.diagnostics()
