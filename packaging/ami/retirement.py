"""Which images are past their time, and which of them something would still launch."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

_ENDED = ("terminated",)


def past_expiration(images: Iterable[dict[str, Any]], *, now: datetime) -> list[dict[str, Any]]:
    """Return the images whose tag ExpirationTime has passed, oldest first; without the tag, or a readable one, none."""
    found = []
    for image in images:
        tags = {one["Key"]: one["Value"] for one in image.get("Tags", [])}
        try:
            ends = datetime.fromisoformat(tags["ExpirationTime"].replace("Z", "+00:00"))
        except (KeyError, ValueError):
            continue
        if ends.tzinfo is not None and ends <= now:
            found.append((ends, image))
    return [image for _, image in sorted(found, key=lambda one: one[0])]


def images_in_use(ec2: Any, autoscaling: Any) -> dict[str, str]:
    """Return who uses each image: an instance that may start again, a launch template or configuration, group or fleet.

    All versions of a launch template count: a group may be set to any of them at any time.
    """
    used: dict[str, str] = {}
    for page in ec2.get_paginator("describe_instances").paginate():
        for reservation in page["Reservations"]:
            for one in reservation["Instances"]:
                if one["State"]["Name"] not in _ENDED:
                    used.setdefault(one["ImageId"], f"instance {one['InstanceId']}")
    for page in ec2.get_paginator("describe_launch_templates").paginate():
        for template in page["LaunchTemplates"]:
            name = template["LaunchTemplateId"]
            versions = ec2.get_paginator("describe_launch_template_versions").paginate(
                LaunchTemplateId=name, ResolveAlias=True
            )
            for version in (one for each in versions for one in each["LaunchTemplateVersions"]):
                image = version["LaunchTemplateData"].get("ImageId")
                if image is not None:
                    used.setdefault(image, f"version {version['VersionNumber']} of launch template {name}")
    _use_by_groups(used, autoscaling)
    _use_by_fleets(used, ec2)
    return used


def _use_by_groups(used: dict[str, str], autoscaling: Any) -> None:
    """Add the images of launch configurations, and those that groups state beside their launch templates."""
    for page in autoscaling.get_paginator("describe_launch_configurations").paginate():
        for one in page["LaunchConfigurations"]:
            used.setdefault(one["ImageId"], f"launch configuration {one['LaunchConfigurationName']}")
    for page in autoscaling.get_paginator("describe_auto_scaling_groups").paginate():
        for one in page["AutoScalingGroups"]:
            template = one.get("MixedInstancesPolicy", {}).get("LaunchTemplate", {})
            for override in template.get("Overrides", []):
                _use(used, override, f"Auto Scaling group {one['AutoScalingGroupName']}")


def _use_by_fleets(used: dict[str, str], ec2: Any) -> None:
    """Add the images of fleets that may launch instances. Those of launch templates are known without them."""
    for page in ec2.get_paginator("describe_fleets").paginate():
        for one in page.get("Fleets", []):
            if not one.get("FleetState", "").startswith("deleted"):
                for template in one.get("LaunchTemplateConfigs", []):
                    for override in template.get("Overrides", []):
                        _use(used, override, f"fleet {one['FleetId']}")
    for page in ec2.get_paginator("describe_spot_fleet_requests").paginate():
        for one in page.get("SpotFleetRequestConfigs", []):
            if not one.get("SpotFleetRequestState", "").startswith("cancelled"):
                for specification in one["SpotFleetRequestConfig"].get("LaunchSpecifications", []):
                    _use(used, specification, f"spot fleet {one['SpotFleetRequestId']}")


def _use(used: dict[str, str], stated: dict[str, Any], user: str) -> None:
    if stated.get("ImageId"):
        used.setdefault(stated["ImageId"], user)
