# mypy: ignore-errors
"""What python-dxf's own suite expects around it, which its source package leaves out: blobs, a registry, and who asks."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import dxf
import pytest

_HOST = os.environ["DXF_SUITE_HOST"]
_TOKEN = os.environ["DXF_SUITE_TOKEN"]
_PLACE = Path(os.environ["DXF_SUITE_PLACE"])
_CONFIG = b'{"architecture": "amd64", "os": "linux"}'


def record_or_replay(test):
    """These dial out to a public registry, and are left out by name."""
    return test


def pytest_configure(config):
    pytest.repo = "foo/bar"
    pytest.username, pytest.password = "oauth2", _TOKEN
    for number, size in ((1, 1 << 20), (2, 512 * 1024), (3, 64 * 1024), (4, 64 * 1024)):
        content = hashlib.shake_256(str(number).encode()).digest(size)
        file = _PLACE / f"blob{number}"
        file.write_bytes(content)
        setattr(pytest, f"blob{number}_file", str(file))
        setattr(pytest, f"blob{number}_hash", "sha256:" + hashlib.sha256(content).hexdigest())
        setattr(pytest, f"blob{number}_size", size)
    pytest.copy_registry_image = _copy
    pytest.gc = lambda: None


def _auth(of, response):
    of.authenticate(pytest.username, pytest.password, response=response)


def _copy(version):
    """Push an image with a configuration, as the suite copies one from the registry's own."""
    target = dxf.DXF(_HOST, "test/registry", _auth)
    config = target.push_blob(data=iter([_CONFIG]), digest=dxf.hash_bytes(_CONFIG))
    layer = target.push_blob(data=iter([b"layer"]), digest=dxf.hash_bytes(b"layer"))
    manifest = (
        '{"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json",'
        f' "config": {{"mediaType": "application/vnd.docker.container.image.v1+json", "size": {len(_CONFIG)},'
        f' "digest": "{config}"}}, "layers": [{{"mediaType":'
        f' "application/vnd.docker.image.rootfs.diff.tar.gzip", "size": 5, "digest": "{layer}"}}]}}'
    )
    target.set_manifest(str(version), manifest)


@pytest.fixture(scope="module")
def dxf_obj():
    found = dxf.DXF(_HOST, pytest.repo, _auth)
    found.test_do_auth, found.test_do_token = True, True
    found.regver, found.reg_digest = 2, dxf.hash_bytes(_CONFIG)
    return found


@pytest.fixture(scope="module")
def dxf_main():
    return {
        "DXF_HOST": _HOST, "DXF_INSECURE": "0", "DXF_SKIPTLSVERIFY": "0", "DXF_USERNAME": pytest.username, "DXF_PASSWORD": pytest.password,
        "REGVER": 2, "REG_DIGEST": dxf.hash_bytes(_CONFIG), "TEST_DO_AUTH": True, "TEST_DO_TOKEN": True,
        **{name: os.environ[name] for name in ("PATH", "REQUESTS_CA_BUNDLE")}, "HOME": str(_PLACE),
    }  # fmt: skip
