"""The end of the boot: configures the services that run after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from whence_agent.boot.container import joined_networks, sidecar_name
from whence_agent.settings import Settings
from whence_agent.watch.draining import Ending
from whence_agent.watch.health import HealthWatch
from whence_agent.watch.metrics import HostMetrics
from whence_agent.watch.supervision import Supervision
from whence_common.statement import ContainerFacts
from whence_common.user_data.judge import UserData

STOP_SECONDS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    settings: Settings
    supervision: Supervision
    health: HealthWatch
    metrics: HostMetrics
    ending: Ending

    def hand_over(self, user_data: UserData, containers: Sequence[ContainerFacts]) -> None:
        """Declare the containers to supervision, health, metrics and draining, as user data specifies them."""
        settings = self.settings
        stop_seconds = {settings.container_name: user_data.options.stop_seconds}
        stop_seconds |= {sidecar_name(settings, one): one.options.stop_seconds for one in user_data.sidecars}
        networks = joined_networks(user_data, settings)
        for facts in containers:
            main = facts.name == settings.container_name
            self.supervision.watch(facts.name, digest=facts.image_digest, main=main, joins=networks.get(facts.name, ""))
            seconds = stop_seconds.get(facts.name)
            self.ending.containers[facts.name] = STOP_SECONDS if seconds is None else seconds
        self.ending.load_balancer, self.ending.shutdown = user_data.load_balancer, user_data.shutdown
        self.health.watch(user_data.health_check)
        if user_data.cloudwatch_metrics:
            self.metrics.enable()
