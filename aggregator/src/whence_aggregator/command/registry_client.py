"""A registry as `whence attest` uses it: manifests are read, a referrer is pushed. HTTPS, but on loopback."""

from __future__ import annotations

import base64
import http.client
import os
import re
import shutil
import ssl
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlencode, urljoin, urlsplit

from whence_common.digest import sha256_digest
from whence_common.errors import InputError, RoadError, one_line
from whence_common.image_reference import ImageReference, is_loopback_registry
from whence_common.loose_json import loose
from whence_common.oci_manifest import ACCEPT, MANIFEST_BYTES_MAX

_SECONDS_MAX = 60.0
_HELPER_SECONDS_MAX = 30.0
_CHALLENGE = re.compile(r'([a-z]+)="([^"]{0,2000})"')
_HELPER = re.compile(r"[A-Za-z0-9._-]{1,60}\Z")


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    content: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)


class RegistryClient:
    """One repository. The sign-in is Docker's: its configuration, its helpers, or WHENCE_REGISTRY_TOKEN."""

    def __init__(self, reference: ImageReference) -> None:
        self._registry = reference.registry
        self._path = reference.path
        self._plain = is_loopback_registry(reference.registry)
        self._base = f"{'http' if self._plain else 'https'}://{reference.registry}"
        self._authorization = ""

    def manifest(self, name: str) -> bytes:
        """GET a manifest by tag or digest. Raises RoadError or InputError."""
        answer = self._ask("GET", f"/v2/{self._path}/manifests/{name}", headers={"Accept": ACCEPT})
        if answer.status == 404:
            raise InputError(
                "image-unknown", f"{self._registry} has no {self._path}:{name}", fix="push the image first"
            )
        return _expect(answer, 200).content

    def push_blob(self, content: bytes) -> str:
        """Upload a blob; give its digest. Raises RoadError."""
        digest = sha256_digest(content)
        if self._ask("HEAD", f"/v2/{self._path}/blobs/{digest}").status == 200:
            return digest
        begun = _expect(self._ask("POST", f"/v2/{self._path}/blobs/uploads/"), 202)
        location = urljoin(self._base, begun.headers.get("location", ""))
        if urlsplit(location).netloc != self._registry:
            raise RoadError("registry-location", f"{self._registry} sends uploads to another host, which is refused")
        joined = "&" if urlsplit(location).query else "?"
        headers = {"Content-Type": "application/octet-stream"}
        _expect(self._ask("PUT", f"{location}{joined}digest={digest}", body=content, headers=headers), 201)
        return digest

    def push_manifest(self, content: bytes, media_type: str) -> tuple[str, bool]:
        """PUT a manifest by its digest; give the digest, and whether the registry lists referrers by itself."""
        digest = sha256_digest(content)
        path = f"/v2/{self._path}/manifests/{digest}"
        answer = _expect(self._ask("PUT", path, body=content, headers={"Content-Type": media_type}), 201)
        return digest, "oci-subject" in answer.headers

    def put_tag(self, tag: str, content: bytes, media_type: str) -> None:
        """PUT a manifest under a tag. Raises RoadError."""
        path = f"/v2/{self._path}/manifests/{tag}"
        _expect(self._ask("PUT", path, body=content, headers={"Content-Type": media_type}), 201)

    def find_manifest(self, name: str) -> bytes | None:
        answer = self._ask("GET", f"/v2/{self._path}/manifests/{name}", headers={"Accept": ACCEPT})
        return None if answer.status == 404 else _expect(answer, 200).content

    def _ask(
        self, method: str, target: str, *, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> _Answer:
        answer = self._once(method, target, body, headers or {})
        if answer.status == 401 and not self._authorization:
            self._sign_in(answer.headers.get("www-authenticate", ""))
            answer = self._once(method, target, body, headers or {})
        return answer

    def _sign_in(self, challenge: str) -> None:
        login = self._login()
        scheme, _, rest = challenge.partition(" ")
        named = dict(_CHALLENGE.findall(rest))
        if scheme.lower() == "bearer" and "realm" in named and login:
            realm = urlsplit(named["realm"])
            if realm.netloc != self._registry or (realm.scheme != "https" and not self._plain):
                raise RoadError(
                    "registry-realm", f"{self._registry} asks to sign in at {realm.netloc}, which is refused"
                )
            query = urlencode({"service": named.get("service", ""), "scope": f"repository:{self._path}:pull,push"})
            answer = self._once("GET", f"{realm.path}?{query}", None, {"Authorization": login})
            token = loose(_expect(answer, 200).content).get("token")
            self._authorization = f"Bearer {token}"
        else:
            self._authorization = login

    def _login(self) -> str:
        """Find how to sign in; never said in an error."""
        token = os.environ.get("WHENCE_REGISTRY_TOKEN")
        if token:
            return "Basic " + base64.b64encode(f"oauth2:{token}".encode()).decode("ascii")
        home = Path(os.environ.get("DOCKER_CONFIG", Path.home() / ".docker"))
        try:
            config = loose((home / "config.json").read_bytes())
        except OSError:
            return ""
        helper = config.get("credHelpers", {}).get(self._registry) or config.get("credsStore")
        if isinstance(helper, str) and _HELPER.match(helper):
            return self._helped(helper)
        stored = config.get("auths", {}).get(self._registry, {}).get("auth")
        return f"Basic {stored}" if isinstance(stored, str) else ""

    def _helped(self, helper: str) -> str:
        program = shutil.which(f"docker-credential-{helper}")
        if program is None:
            raise RoadError(
                "registry-login", f"docker-credential-{helper}, which Docker's configuration names, is missing"
            )
        try:
            said = subprocess.run(
                [program, "get"], input=self._registry.encode(), capture_output=True, check=True,
                timeout=_HELPER_SECONDS_MAX,
            ).stdout  # fmt: skip
        except (OSError, subprocess.SubprocessError) as exc:
            raise RoadError("registry-login", f"docker-credential-{helper} gives nothing for {self._registry}") from exc
        found = loose(said)
        return "Basic " + base64.b64encode(f"{found.get('Username')}:{found.get('Secret')}".encode()).decode("ascii")

    def _once(self, method: str, target: str, body: bytes | None, headers: Mapping[str, str]) -> _Answer:
        parts = urlsplit(urljoin(self._base, target))
        path = quote(parts.path, safe="/:@%+~") + (f"?{parts.query}" if parts.query else "")
        signed = {"Authorization": self._authorization} if self._authorization else {}
        host, port = parts.hostname or "", parts.port
        connection: http.client.HTTPConnection
        if self._plain:
            connection = http.client.HTTPConnection(host, port, timeout=_SECONDS_MAX)
        else:
            context = ssl.create_default_context()
            connection = http.client.HTTPSConnection(host, port, timeout=_SECONDS_MAX, context=context)
        try:
            connection.request(method, path, body=body, headers={**signed, **headers})
            answer = connection.getresponse()
            content = answer.read(MANIFEST_BYTES_MAX + 1)
            return _Answer(answer.status, content, {name.lower(): value for name, value in answer.getheaders()})
        except (OSError, http.client.HTTPException) as exc:
            raise RoadError("registry-unreachable", f"{self._registry} does not answer: {type(exc).__name__}") from exc
        finally:
            connection.close()


def _expect(answer: _Answer, status: int) -> _Answer:
    if answer.status == status:
        return answer
    errors = loose(answer.content).get("errors")
    first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
    said = one_line(f"{first.get('code', '')} {first.get('message', '')}", 200)
    raise RoadError("registry-refuses", f"the registry answers HTTP {answer.status} {said}".rstrip())
