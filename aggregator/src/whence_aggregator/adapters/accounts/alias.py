"""The alias of an account, by IAM."""

from __future__ import annotations

from collections.abc import Sequence

from whence_aggregator.accounts.resources import Json, Standing, Wanted
from whence_aggregator.accounts.steps.alias import ALIAS
from whence_aggregator.adapters.accounts.place import AwsPlace


class AliasProvider:
    def __init__(self, place: AwsPlace) -> None:
        self._place = place

    async def read(self, wanted: Sequence[Wanted]) -> Sequence[Standing]:
        iam = await self._place.client("iam")
        aliases = (await iam.list_account_aliases())["AccountAliases"]
        return [
            Standing(kind=ALIAS, name=one.name, state={"alias": aliases[0] if aliases else None}, is_own=True)
            for one in wanted
        ]

    async def find(self) -> Sequence[Standing]:
        return await self.read([Wanted(kind=ALIAS, name="account", state={})])

    async def create(self, wanted: Wanted) -> None:
        raise AssertionError("a setting always stands")

    async def put(self, standing: Standing, aspect: str, value: Json) -> None:
        iam = await self._place.client("iam")
        await iam.create_account_alias(AccountAlias=value)

    async def delete(self, standing: Standing) -> None:
        raise AssertionError("a setting is not deleted")
