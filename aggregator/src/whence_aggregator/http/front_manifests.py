"""The OCI distribution API, `/v2/…`: manifests, tags, referrers, sign-in. Blobs are in front_blobs."""

from __future__ import annotations

import base64
import re
from typing import Any
from urllib.parse import parse_qs, quote, urlencode

import msgspec
from aiohttp import web

from whence_aggregator.http.authentication import CALLER, authorization
from whence_aggregator.http.client_address import limited_address
from whence_aggregator.http.front_errors import check_parameters, no_continue, own_url, registry_guarded, whole_body
from whence_aggregator.ports_registry import BlobBackend, PushSources
from whence_aggregator.registry.access import GRANT_SECONDS, PUBLIC, Access, Principal
from whence_aggregator.registry.catalog import PAGE_MAX, Catalog
from whence_aggregator.registry.kinds import kind_of, subject_of_tag
from whence_aggregator.registry.names import Repository, check_digest, check_reference, is_repository
from whence_aggregator.registry.pushes import Pushes
from whence_aggregator.registry.refusals import RegistryRefusal, unavailable
from whence_common.errors import one_line
from whence_common.oci_manifest import DOCKER_MANIFEST, INDEXES, MANIFEST_BYTES_MAX, OCI_INDEX, Manifest
from whence_common.registry_sign_in import CATALOG_SCOPE

_ENGINE = "docker/"
"""The Docker Engine answers every challenge, and fails at Basic if it has a refresh token and no password."""
BASIC_CHALLENGE = 'Basic realm="Pier One Docker Registry"'
_FORM_BYTES_MAX = 64 * 1024
_HEADER_NOT_TAKEN = "X-SCM-Source is ignored: put scm-source.json into the image, or sign with whence attest"
_SCOPES_MAX = 20
_CATALOG_PATH = "/v2/_catalog"
_SCOPE = re.compile(r"repository:([a-z0-9._/-]{1,255}):([a-z,*]{1,60})\Z")


class FrontCalls:
    """Handlers. `name` is the registry's host, `url` its URL if that is not the Host of requests."""

    def __init__(
        self,
        *,
        access: Access,
        catalog: Catalog,
        pushes: Pushes,
        backend: BlobBackend,
        sources: PushSources,
        name: str,
        url: str | None,
        source_required: bool,
    ) -> None:
        self._access = access
        self._catalog = catalog
        self._pushes = pushes
        self._backend = backend
        self._sources = sources
        self._name = name
        self._url = url
        self._source_required = source_required

    def routes(self) -> list[web.RouteDef]:
        routes = [
            web.get("/v2/", self._version),
            web.get("/v2", self._version),
            web.get("/v2/token", self._token),
            web.post("/v2/token", self._token),
            web.get(_CATALOG_PATH, self._repositories),
            web.get("/v2/{name:(?s:.+)}/tags/list", self._tags),
            web.get("/v2/{name:(?s:.+)}/manifests/{reference}", self._manifest, allow_head=False),
            web.head("/v2/{name:(?s:.+)}/manifests/{reference}", self._manifest),
            web.put("/v2/{name:(?s:.+)}/manifests/{reference}", self._put_manifest, expect_handler=no_continue),
            web.delete("/v2/{name:(?s:.+)}/manifests/{reference}", self._delete_manifest),
            web.get("/v2/{name:(?s:.+)}/referrers/{digest}", self._referrers),
        ]
        return [
            web.route(one.method, one.path, registry_guarded(one.handler, self.challenges), **one.kwargs)
            for one in routes
        ]

    def challenges(self, request: web.Request) -> list[str]:
        """Return the challenges: a token for the required scope, or Basic as Pier One's clients use it."""
        realm = f"{own_url(request, self._url)}/v2/token"
        scope = f',scope="{CATALOG_SCOPE}"' if request.path == _CATALOG_PATH else ""
        name = request.match_info.get("name")
        if name is not None and _SCOPE.match(f"repository:{name}:pull"):
            of_upload = "number" in request.match_info  # a client that reads its state continues to send
            reads = request.method in ("GET", "HEAD") and not of_upload
            actions = "pull" if reads else "pull,push"
            scopes = [f"repository:{name}:{actions}"]
            source = f"repository:{request.query.get('from', '')}:pull"
            scopes += [source] if _SCOPE.match(source) else []
            scope = f',scope="{" ".join(scopes)}"'
        bearer = f'Bearer realm="{realm}",service="{self._name}"{scope}'
        return [bearer] if request.headers.get("User-Agent", "").startswith(_ENGINE) else [bearer, BASIC_CHALLENGE]

    async def caller(self, request: web.Request) -> Principal:
        """Return the caller, after the parameters were checked. Raises RegistryRefusal."""
        principal = await self._access.authenticate(authorization(request), client=limited_address(request))
        if principal.caller is not None:
            request[CALLER] = principal.caller
        check_parameters(request)
        return principal

    async def _version(self, request: web.Request) -> web.Response:
        principal = await self.caller(request)
        if principal == PUBLIC and "write" in request.host:
            raise RegistryRefusal("UNAUTHORIZED", "authentication required")
        return web.Response(text="OK")

    async def _token(self, request: web.Request) -> web.Response:
        """Grant a token for the requested scopes that the caller has, by Docker's token flow."""
        header, scopes = authorization(request), list(request.query.getall("scope", []))
        if request.method == "POST":
            form = await self._form(request)
            scopes += form.get("scope", [])
            if not header and form.get("grant_type") == ["password"]:
                user, password = (form.get(name, [""])[0] for name in ("username", "password"))
                header = f"Basic {_encoded(user, password)}"
            elif not header and form.get("grant_type") == ["refresh_token"]:
                shown = form.get("refresh_token", [""])[0]
                renewed = await self._access.renewed(shown)
                if renewed is not None:
                    return _granted(renewed)
                header = f"Bearer {shown}"
        principal = await self._access.authenticate(header, client=limited_address(request))
        wanted, asked = [], " ".join(scopes).split()[:_SCOPES_MAX]
        for scope in asked:
            match = _SCOPE.match(scope)
            if match is not None and is_repository(match[1]):
                wanted.append((Repository.parse(match[1]), match[2].split(",")))
        return _granted(await self._access.grant(principal, wanted, catalog=CATALOG_SCOPE in asked))

    async def _form(self, request: web.Request) -> dict[str, list[str]]:
        try:
            text = (await whole_body(request, _FORM_BYTES_MAX)).decode("utf-8")
            return parse_qs(text, max_num_fields=50)
        except ValueError as exc:
            raise RegistryRefusal("UNAUTHORIZED", "the form is malformed") from exc

    async def _repositories(self, request: web.Request) -> web.Response:
        self._access.check_list(await self.caller(request))
        after, limit = page(request)
        found = await self._catalog.repositories(after=after, limit=limit + 1)
        return paged(request, {"repositories": found[:limit]}, found, limit)

    async def _tags(self, request: web.Request) -> web.Response:
        repository = await self._readable(request)
        after, limit = page(request)
        found = await self._catalog.tags(repository, after=after, limit=limit + 1)
        return paged(request, {"name": str(repository), "tags": found[:limit]}, found, limit)

    async def _referrers(self, request: web.Request) -> web.Response:
        repository = await self._readable(request)
        digest = check_digest(request.match_info["digest"])
        wanted = request.query.get("artifactType")
        after, limit = page(request)
        found = await self._catalog.referrers(repository, digest, artifact_type=wanted, after=after, limit=limit + 1)
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": found[:limit]}
        response = paged(request, index, [one["digest"] for one in found], limit)
        response.content_type = OCI_INDEX
        if wanted is not None:
            response.headers["OCI-Filters-Applied"] = "artifactType"
        return response

    async def _manifest(self, request: web.Request) -> web.Response:
        repository = await self._readable(request)
        reference = check_reference(request.match_info["reference"])
        found = await self._catalog.manifest(repository, reference)
        _check_accepted(request, found.media_type)
        headers = {"Docker-Content-Digest": found.digest, "ETag": f'"{found.digest}"'}
        if request.headers.get("If-None-Match", "").strip() == headers["ETag"]:
            return web.Response(status=304, headers=headers)
        if request.method == "HEAD":
            headers.update({"Content-Length": str(found.size), "Content-Type": found.media_type})
            return web.Response(headers=headers)
        content = await self._backend.manifest(str(repository), found.digest)
        if content is None:
            raise unavailable("the registry behind lost this manifest")
        return web.Response(body=content, headers={**headers, "Content-Type": found.media_type})

    async def _put_manifest(self, request: web.Request) -> web.Response:
        repository, principal = await self.writable(request)
        reference = check_reference(request.match_info["reference"])
        content = await whole_body(request, MANIFEST_BYTES_MAX)
        manifest = Manifest.parse(content, content_type=request.headers.get("Content-Type", ""))
        if self._source_required:
            await self._require_source(repository, manifest)
        created = await self._pushes.push(repository, reference, manifest, principal)
        headers = {
            "Location": f"/v2/{quote(str(repository))}/manifests/{manifest.digest}",
            "Docker-Content-Digest": manifest.digest,
        }
        if manifest.subject is not None:
            headers["OCI-Subject"] = manifest.subject.digest
        warning = await self._source_warning(repository, reference, manifest) if created else ""
        if "X-SCM-Source" in request.headers:
            warning = warning or _HEADER_NOT_TAKEN
        if warning:
            headers["Warning"] = f'299 - "{warning}"'
        return web.Response(status=201, headers=headers)

    async def _source_warning(self, repository: Repository, reference: str, manifest: Manifest) -> str:
        """Collect the image's source; return the warning about it, or an empty text."""
        subject = manifest.subject.digest if manifest.subject is not None else subject_of_tag(reference)
        if subject is not None:
            await self._sources.look(str(repository), subject)
        found = await self._sources.look(str(repository), manifest.digest)
        return _warning(found) if found is not None else ""

    async def _require_source(self, repository: Repository, manifest: Manifest) -> None:
        """Refuse an image whose source is not known. Raises RegistryRefusal."""
        if kind_of(manifest) != "image":
            return
        problem = await self._sources.judge(str(repository), manifest)
        if problem:
            fix = "add /scm-source.json as the last layer of the image"
            raise RegistryRefusal("MANIFEST_INVALID", problem, fix=fix)

    async def _delete_manifest(self, request: web.Request) -> web.Response:
        repository, principal = await self.writable(request)
        await self._pushes.untag(repository, check_reference(request.match_info["reference"]), principal)
        return web.Response(status=202)

    async def _readable(self, request: web.Request) -> Repository:
        principal = await self.caller(request)
        repository = Repository.parse(request.match_info["name"])
        await self._access.check_pull(principal, repository)
        return repository

    async def writable(self, request: web.Request) -> tuple[Repository, Principal]:
        """Return repository and caller, if the caller may write. Raises RegistryRefusal before the body is read."""
        principal = await self.caller(request)
        repository = Repository.parse(request.match_info["name"])
        await self._access.check_push(principal, repository)
        return repository, principal


def page(request: web.Request) -> tuple[str, int]:
    """Return the parameters `last` and `n`. Raises RegistryRefusal."""
    stated = request.query.get("n")
    if stated is not None and not re.fullmatch(r"[0-9]{1,6}", stated):
        raise RegistryRefusal("PAGINATION_NUMBER_INVALID", "n must be a number")
    return request.query.get("last", "")[:300], min(int(stated), PAGE_MAX) if stated is not None else PAGE_MAX


def paged(request: web.Request, document: dict[str, Any], found: list[str], limit: int) -> web.Response:
    """Return a page, with the link of the next one."""
    response = web.Response(body=msgspec.json.encode(document), content_type="application/json")
    if limit and len(found) > limit:
        query = {**request.query, "n": str(limit), "last": found[limit - 1]}
        response.headers["Link"] = f'<{quote(request.path)}?{urlencode(query)}>; rel="next"'
    return response


def _granted(token: str) -> web.Response:
    document = {"token": token, "access_token": token, "expires_in": GRANT_SECONDS}
    return web.json_response(document, headers={"Cache-Control": "no-store"})


def _warning(found: Any) -> str:
    return one_line(str(found.get("warning", "")), 300).replace('"', "'")


def _check_accepted(request: web.Request, media_type: str) -> None:
    """Raise RegistryRefusal for an index that the client does not accept: it would read it as an image."""
    stated = ",".join(request.headers.getall("Accept", [])).lower()
    if (
        media_type in INDEXES
        and stated
        and media_type not in stated
        and "*/*" not in stated
        and DOCKER_MANIFEST in stated
    ):
        raise RegistryRefusal(
            "MANIFEST_UNKNOWN", f"this is an image index, {media_type}, which the client does not accept"
        )


def _encoded(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode("ascii")
