"""The registry client of `whence attest`: reads manifests and pushes a referrer. HTTPS, except on loopback."""

from __future__ import annotations

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
from whence_common.errors import InputError, RoadError
from whence_common.image_reference import DOCKER_HUB, ImageReference, registry_name
from whence_common.login_file import docker_entry, docker_keys, login_of_entry
from whence_common.loose_json import loose
from whence_common.oci_manifest import MANIFEST_BYTES_MAX
from whence_common.registry_address import REDIRECTS, RegistryPlace
from whence_common.registry_answers import ErrorDocument
from whence_common.registry_redirects import next_hop
from whence_common.registry_requests import checked_path, read_headers, upload_end, upload_location
from whence_common.registry_sign_in import Login, granted, parse_challenges, scope_of, shown, sign_in

_SECONDS_MAX = 60.0
_HELPER_SECONDS_MAX = 30.0
_HELPER = re.compile(r"[A-Za-z0-9._-]{1,60}\Z")


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    content: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    challenges: tuple[str, ...] = ()


class RegistryClient:
    """A client of one repository. The login is Docker's (configuration and helpers), or WHENCE_REGISTRY_TOKEN.

    `token_hosts` are hosts, in addition to the registry's own, that may receive the login.
    """

    def __init__(self, reference: ImageReference, *, token_hosts: tuple[str, ...] = ()) -> None:
        self._registry = registry_name(reference.registry)
        self._place = RegistryPlace(registry=self._registry, token_hosts=frozenset(token_hosts))
        self._path = self._place.path(reference.path)
        self._base = self._place.origin
        self._authorization = ""

    def manifest(self, name: str) -> bytes:
        """Return a manifest by tag or digest. Raises RoadError or InputError."""
        answer = self._ask("GET", self._url("manifests", name), headers=read_headers())
        if answer.status == 404:
            raise InputError(
                "image-unknown", f"not found: {self._path}:{name} in {self._registry}", fix="push the image first"
            )
        return _expect(answer, 200).content

    def push_blob(self, content: bytes) -> str:
        """Upload a blob and return its digest. Raises RoadError."""
        digest = sha256_digest(content)
        if self._ask("HEAD", self._url("blobs", digest)).status in (200, *REDIRECTS):
            return digest  # a redirect means that the registry has the blob
        uploads = f"/v2/{self._path}/blobs/uploads/"
        begun = _expect(self._ask("POST", uploads), 202)
        location = upload_location(self._place, f"{self._base}{uploads}", begun.headers.get("location"))
        headers = {"Content-Type": "application/octet-stream"}
        _expect(self._ask("PUT", upload_end(location, digest), body=content, headers=headers), 201)
        return digest

    def push_manifest(self, content: bytes, media_type: str) -> tuple[str, bool]:
        """PUT a manifest by its digest; return the digest, and whether the registry has the referrers API."""
        digest = sha256_digest(content)
        path = self._url("manifests", digest)
        answer = _expect(self._ask("PUT", path, body=content, headers={"Content-Type": media_type}), 201)
        return digest, "oci-subject" in answer.headers

    def put_tag(self, tag: str, content: bytes, media_type: str) -> None:
        """PUT a manifest under a tag. Raises RoadError."""
        path = self._url("manifests", tag)
        _expect(self._ask("PUT", path, body=content, headers={"Content-Type": media_type}), 201)

    def find_manifest(self, name: str) -> bytes | None:
        answer = self._ask("GET", self._url("manifests", name), headers=read_headers())
        return None if answer.status == 404 else _expect(answer, 200).content

    def _url(self, part: str, name: str) -> str:
        return f"/v2/{checked_path(self._path, part, name)}"

    def _ask(
        self, method: str, target: str, *, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> _Answer:
        answer = self._once(method, target, body, headers or {})
        if answer.status == 401 and not self._authorization:
            self._sign_in(answer.challenges)
            answer = self._once(method, target, body, headers or {})
        url, followed = urljoin(self._base, target), 0
        while method == "GET":
            # NOTE: resolved addresses are not checked here: a build can reach its network in any case
            url = next_hop(self._place, url, answer.status, answer.headers.get("location", ""), followed=followed)
            if not url:
                break
            answer, followed = self._once(method, url, None, headers or {}), followed + 1
        return answer

    def _sign_in(self, challenges: tuple[str, ...]) -> None:
        login = self._login()
        wanted = sign_in(parse_challenges(challenges), login, (scope_of(self._path, push=True),), self._place)
        if isinstance(wanted, str):
            self._authorization = wanted
            return
        headers, body = wanted.headers, None
        if wanted.form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            body = urlencode(wanted.form).encode()
        answer = self._once(wanted.method, wanted.url, body, headers)
        token = granted(answer.status, answer.content)
        if token is None:
            raise RoadError(
                "registry-login", f"{self._registry} returned no token (HTTP {answer.status})",
                fix=f"sign in again: docker login {self._registry}",
            )  # fmt: skip
        self._authorization = token.header

    def _login(self) -> Login | None:
        """Return the login, or None. Errors do not contain it."""
        token = os.environ.get("WHENCE_REGISTRY_TOKEN")
        if token:
            return Login(username="oauth2", password=token)
        place = Path(os.environ.get("DOCKER_CONFIG", Path.home() / ".docker")) / "config.json"
        try:
            config = loose(place.read_bytes())
        except OSError:
            return None
        helpers = config.get("credHelpers")
        known = helpers if isinstance(helpers, dict) else {}
        named = next((known[key] for key in docker_keys(known, self._registry)), None)
        helper = named or config.get("credsStore")
        if isinstance(helper, str) and _HELPER.match(helper):
            return self._helped(helper)
        entry = docker_entry({"auths": config.get("auths", {})}, self._registry)
        return login_of_entry(entry, host=self._registry, name=str(place)) if entry is not None else None

    def _helped(self, helper: str) -> Login:
        program = shutil.which(f"docker-credential-{helper}")
        if program is None:
            raise RoadError(
                "registry-login", f"docker-credential-{helper}, which Docker's configuration names, is not installed"
            )
        key = "https://index.docker.io/v1/" if self._registry == DOCKER_HUB else self._registry
        # the helper must not receive our secrets; it may need the other variables, such as AWS's for ECR
        environment = {name: value for name, value in os.environ.items() if not name.startswith("WHENCE_")}
        try:
            output = subprocess.run(
                [program, "get"], input=key.encode(), capture_output=True, check=True, timeout=_HELPER_SECONDS_MAX,
                env=environment,
            ).stdout  # fmt: skip
        except (OSError, subprocess.SubprocessError) as exc:
            message = f"docker-credential-{helper} returned no login for {self._registry}"
            raise RoadError("registry-login", message, fix=f"sign in: docker login {self._registry}") from exc
        found = loose(output)
        entry = {"username": found.get("Username"), "password": found.get("Secret")}
        return login_of_entry(entry, host=self._registry, name=f"docker-credential-{helper}")

    def _once(self, method: str, target: str, body: bytes | None, headers: Mapping[str, str]) -> _Answer:
        parts = urlsplit(urljoin(self._base, target))
        path = quote(parts.path, safe="/:@%+~") + (f"?{parts.query}" if parts.query else "")
        signed = shown(self._place, f"{parts.scheme}://{parts.netloc}", self._authorization)
        host, port = parts.hostname or "", parts.port
        connection: http.client.HTTPConnection
        if parts.scheme == "http":
            connection = http.client.HTTPConnection(host, port, timeout=_SECONDS_MAX)
        else:
            context = ssl.create_default_context()
            connection = http.client.HTTPSConnection(host, port, timeout=_SECONDS_MAX, context=context)
        try:
            connection.request(method, path, body=body, headers={**signed, **headers})
            answer = connection.getresponse()
            content = answer.read(MANIFEST_BYTES_MAX + 1)
            named = {name.lower(): value for name, value in answer.getheaders()}
            challenges = tuple(answer.headers.get_all("WWW-Authenticate", []))
            if len(content) > MANIFEST_BYTES_MAX:
                message = f"{self._registry} returned more than {MANIFEST_BYTES_MAX} bytes"
                raise RoadError("registry-answer-too-large", message, retryable=False)
            if answer.length:  # a bounded read does not raise IncompleteRead by itself
                raise http.client.IncompleteRead(content, answer.length)
            return _Answer(answer.status, content, named, challenges)
        except (OSError, http.client.HTTPException) as exc:
            raise RoadError("registry-unreachable", f"{self._registry} is unreachable: {type(exc).__name__}") from exc
        finally:
            connection.close()


def _expect(answer: _Answer, status: int) -> _Answer:
    if answer.status == status:
        return answer
    words = ErrorDocument.parse(answer.content).words
    raise RoadError("registry-refuses", f"the registry returned HTTP {answer.status} {words}".rstrip())
