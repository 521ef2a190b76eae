"""Backstage's catalog files in our own words: the shapes of its example catalog, and one reading of them."""

from __future__ import annotations

from whence_aggregator.whence.importing.backstage import CatalogOptions, map_catalog
from whence_aggregator.whence.importing.entities import CatalogEntity, OtherKind, entity_of
from whence_aggregator.whence.importing.values import SourceReading, Unmapped
from whence_aggregator.whence.importing.yaml_documents import documents

GROUP = """\
apiVersion: backstage.io/v1alpha1
kind: Group
metadata:
  name: hello
spec:
  type: team
  profile:
    displayName: Team Hello
    email: hello@example.org
  children: []
"""
USERS = """\
apiVersion: backstage.io/v1alpha1
kind: User
metadata:
  name: ada.lind
spec:
  memberOf: [hello]
---
apiVersion: backstage.io/v1beta1
kind: User
metadata:
  name: Bo.Berg
spec:
  profile:
    displayName: Bo
  memberOf: [Group:Default/HELLO]
"""
OTHERS = """\
apiVersion: backstage.io/v1alpha1
kind: API
metadata:
  name: greeting-api
spec:
  type: openapi
  lifecycle: production
  owner: hello
  definition:
    $text: https://elsewhere.example.org/openapi.yaml
---
apiVersion: backstage.io/v1alpha1
kind: System
metadata:
  name: greetings
spec:
  owner: hello
---
apiVersion: scaffolder.backstage.io/v1beta3
kind: Template
metadata:
  name: new-service
spec:
  steps: []
"""


def component(name: str = "greeter", *, owner: str = "hello", metadata: str = "", spec: str = "") -> str:
    """Return a Component; further lines are indented by two spaces."""
    return (
        f"apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata:\n  name: {name}\n{metadata}"
        f"spec:\n  type: service\n  lifecycle: production\n  owner: {owner}\n{spec}"
    )


def annotated(*lines: str) -> str:
    """Return annotations for `component`."""
    return "  annotations:\n" + "".join(f"    {line}\n" for line in lines)


def read_catalog(*texts: str, repository: str = "", **options: object) -> SourceReading:
    """Return what is imported of files catalog-1.yaml, catalog-2.yaml and so on."""
    reading = SourceReading(source="backstage:test")
    entities: list[CatalogEntity] = []
    for number, text in enumerate(texts, start=1):
        file = f"catalog-{number}.yaml"
        for document in documents(text.encode(), file=file):
            found = (
                document if isinstance(document, Unmapped) else entity_of(document, file=file, repository=repository)
            )
            if isinstance(found, Unmapped):
                reading.unmapped.append(found)
            elif isinstance(found, list):
                reading.unmapped += found
            elif isinstance(found, OtherKind):
                reading.skipped[found.name] += 1
            else:
                entities.append(found)
    map_catalog(entities, CatalogOptions(**options), reading)  # type: ignore[arg-type]  # the caller states its fields
    return reading
