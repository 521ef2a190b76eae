"""The alias of an account, by IAM."""

from __future__ import annotations

from collections.abc import Sequence

from whence_aggregator.accounts.resources import Json, StandingResource, WantedResource
from whence_aggregator.accounts.steps.alias import ALIAS
from whence_aggregator.adapters.accounts.place import AwsPlace


class AliasProvider:
    def __init__(self, place: AwsPlace) -> None:
        self._place = place

    async def read(self, wanted: Sequence[WantedResource]) -> Sequence[StandingResource]:
        iam = await self._place.client("iam")
        aliases = (await iam.list_account_aliases())["AccountAliases"]
        return [
            StandingResource(kind=ALIAS, name=one.name, state={"alias": aliases[0] if aliases else None}, is_own=True)
            for one in wanted
        ]

    async def find(self) -> Sequence[StandingResource]:
        return await self.read([WantedResource(kind=ALIAS, name="account", state={})])

    async def create(self, wanted: WantedResource) -> None:
        raise AssertionError("a setting always stands")

    async def put(self, standing: StandingResource, aspect: str, value: Json) -> None:
        iam = await self._place.client("iam")
        await iam.create_account_alias(AccountAlias=value)

    async def delete(self, standing: StandingResource) -> None:
        raise AssertionError("a setting is not deleted")
