"""SAML providers, by IAM. One call lists them, and one call each returns metadata and tags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from whence_aggregator.accounts.resources import Json, StandingResource, WantedResource, is_own, seen_tags
from whence_aggregator.accounts.saml import metadata_form
from whence_aggregator.accounts.steps.identity import SAML_PROVIDER
from whence_aggregator.adapters.accounts.calls import gathered
from whence_aggregator.adapters.accounts.iam_calls import tag_list, tags_of, without_missing
from whence_aggregator.adapters.accounts.place import AwsPlace
from whence_common.errors import InputError, RoadError

_PROVIDERS_MAX = 1_000
"""Ten times IAM's quota."""


class SamlProviderProvider:
    def __init__(self, place: AwsPlace) -> None:
        self._place = place

    async def read(self, wanted: Sequence[WantedResource]) -> Sequence[StandingResource]:
        asked = {one.name: one for one in wanted}
        return [each for each in await self._all(asked) if each.is_own or each.name in asked]

    async def find(self) -> Sequence[StandingResource]:
        return await self._all({})

    async def _all(self, asked: Mapping[str, WantedResource]) -> Sequence[StandingResource]:
        iam = await self._place.client("iam")
        arns = [one["Arn"] for one in (await iam.list_saml_providers())["SAMLProviderList"]]
        if len(arns) > _PROVIDERS_MAX:
            raise RoadError("account-too-many", f"IAM lists over {_PROVIDERS_MAX} SAML providers", retryable=False)
        described = await gathered(self._described(iam, arn, asked.get(arn.rpartition("/")[2])) for arn in arns)
        return [each for each in described if each is not None]

    async def _described(self, iam: Any, arn: str, wanted: WantedResource | None) -> StandingResource | None:
        try:
            answer = await iam.get_saml_provider(SAMLProviderArn=arn)
        except ClientError as exc:
            if exc.response.get("Error", {}).get("Code") == "NoSuchEntity":  # deleted since it was listed
                return None
            raise
        tags = tags_of(answer)
        return StandingResource(
            kind=SAML_PROVIDER, name=arn.rpartition("/")[2], is_own=is_own(tags), outputs={"arn": arn},
            state={"metadata": _seen(answer["SAMLMetadataDocument"]), "tags": seen_tags(tags, wanted)},
        )  # fmt: skip

    async def create(self, wanted: WantedResource) -> StandingResource:
        iam = await self._place.client("iam")
        answer = await iam.create_saml_provider(
            Name=wanted.name, SAMLMetadataDocument=wanted.state["metadata"], Tags=tag_list(wanted.state["tags"])
        )
        return StandingResource(
            kind=SAML_PROVIDER, name=wanted.name, state=wanted.state, is_own=True,
            outputs={"arn": answer["SAMLProviderArn"]},
        )  # fmt: skip

    async def put(self, standing: StandingResource, aspect: str, value: Json) -> None:
        iam = await self._place.client("iam")
        arn = standing.outputs["arn"]
        if aspect == "metadata":
            await iam.update_saml_provider(SAMLProviderArn=arn, SAMLMetadataDocument=value)
        else:
            assert aspect == "tags", aspect
            await iam.tag_saml_provider(SAMLProviderArn=arn, Tags=tag_list(value))

    async def delete(self, standing: StandingResource) -> None:
        iam = await self._place.client("iam")
        await without_missing(iam.delete_saml_provider(SAMLProviderArn=standing.outputs["arn"]))


def _seen(metadata: str) -> str:
    try:
        return metadata_form(metadata, "the provider's metadata")
    except InputError:
        return metadata
