"""The user data of the demo's instances."""

from __future__ import annotations

from landscape.processes import free_port


def right(reference: str, head: str, *, bucket: str) -> str:
    return f"""#taupage-ami-config
application_id: whence-demo
application_version: "{head[:12]}"
runtime: Docker
source: "{reference}"
ports:
  {free_port()}: 8080
health_check_path: /health
environment:
  GREETING: hello
mint_bucket: {bucket}
"""


def mistaken(registry: str) -> str:
    return f"""#taupage-ami-config
application_id: greeter
application_version: 1.10
runtime: docker
source: {registry}/demo/greeter
ports: [8080]
environment:
  RETRIES: [1, 2]
"""


def mutable(registry: str) -> str:
    return f"""#taupage-ami-config
application_id: greeter
application_version: "1.1"
runtime: Docker
source: {registry}/demo/greeter:latest
"""


def unclean(reference: str) -> str:
    return f"""#taupage-ami-config
application_id: greeter
application_version: "1.1"
runtime: Docker
source: {reference}
ports:
  {free_port()}: 8080
health_check_path: /health
"""


def own(image: str, version: str, *, port: int) -> str:
    """The aggregator of this checkout, on its own image, as the user that the image is made for."""
    return f"""#taupage-ami-config
application_id: whence-aggregator
application_version: "{version}"
runtime: Docker
source: "{image}"
user: "65532:65532"
ports:
  {port}: 7381
health_check_path: /health
"""
