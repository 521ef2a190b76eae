"""List and search of images that were pushed to the registry front: `/v1/images`."""

from __future__ import annotations

from aiohttp import web

from whence_aggregator.http.bodies import JsonResponse, respond_json
from whence_aggregator.http.parameters import Query, check_commit, check_image
from whence_aggregator.registry.listing import ImageListing, WantedImages


class ImageCalls:
    """Handlers of `/v1/images`."""

    def __init__(self, *, listing: ImageListing) -> None:
        self._listing = listing

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/v1/images", self._images)]

    async def _images(self, request: web.Request) -> JsonResponse:
        query = Query(request, "team", "repository", "tag", "digest", "commit", "text", "limit", "cursor")
        wanted = WantedImages(
            team=query.text("team"),
            repository=query.text("repository"),
            tag=query.text("tag"),
            digest=check_image(query.text("digest")),
            commit=check_commit(query.text("commit")),
            text=query.text("text"),
        )
        images, following = await self._listing.images(wanted, after=query.text("cursor") or "", limit=query.limit())
        return respond_json({"images": images, "next": following})
