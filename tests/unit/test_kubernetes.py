"""The manifests in packaging/kubernetes: valid by Kubernetes' schemas, restricted, and in accord with the program."""

from __future__ import annotations

import copy
import re
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from landscape.contract import contract
from landscape.whole import ROOT
from whence_aggregator import __version__
from whence_aggregator.check.programs import Surroundings, check_serve, check_witness
from whence_aggregator.cli import main
from whence_aggregator.settings.server import parse_settings, read_settings
from whence_aggregator.settings.witness import parse_witness_settings, read_witness_settings

FOLDER = ROOT / "packaging" / "kubernetes"
VERSIONS = ("1.30", "1.37")
"""The oldest and the newest; the README names them."""
_OPTIONS = ("--audience", "https://whence.example.org", "--account", "123456789012", "--witness", "witness.example.org")
_REQUEST_SECONDS_MAX = 35
"""How long requests in progress have to finish; aggregator/README.md, Reload and stop."""


def documents() -> list[dict[str, Any]]:
    found = [one for path in sorted(FOLDER.glob("*.yaml")) for one in yaml.safe_load_all(path.read_text())]
    assert len(found) == 12
    return found


def of(kind: str, name: str = "") -> dict[str, Any]:
    (found,) = [one for one in documents() if one["kind"] == kind and one["metadata"]["name"].endswith(name)]
    return found


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    """Give the template of each pod, with its manifest's name."""
    for one in documents():
        if one["kind"] in ("StatefulSet", "Job"):
            yield one["metadata"]["name"], one["spec"]["template"]


def container(pod: dict[str, Any]) -> dict[str, Any]:
    (one,) = pod["spec"]["containers"]
    assert isinstance(one, dict)
    return one


def settings(name: str) -> str:
    return str(of("ConfigMap")["data"][name])


@pytest.mark.parametrize("version", VERSIONS)
def test_every_manifest_is_valid_by_the_schema(version: str) -> None:
    for one in documents():
        kubernetes_validate.validate(one, version, strict=True)
    assert version in (FOLDER / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("wrong", ["unknown", "type", "missing"])
def test_the_schema_finds_a_mistake(wrong: str) -> None:
    bent = copy.deepcopy(of("StatefulSet", "aggregator"))
    if wrong == "unknown":
        container(bent["spec"]["template"])["securityContext"]["readOnlyRootFileSystem"] = True
    elif wrong == "type":
        bent["spec"]["replicas"] = "two"
    else:
        del bent["spec"]["selector"]
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(bent, VERSIONS[0], strict=True)


def test_every_pod_is_of_the_restricted_profile() -> None:
    labels = of("Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert len(list(pods())) == 3
    for name, pod in pods():
        spec, confined = pod["spec"], container(pod)["securityContext"]
        context = spec["securityContext"]
        assert (context["runAsNonRoot"], context["runAsUser"], context["fsGroup"]) == (True, 65532, 65532), name
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert confined == {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
        }, name  # fmt: skip
        assert spec["automountServiceAccountToken"] is False, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys(), name
        kinds = {kind for volume in spec["volumes"] for kind in volume if kind != "name"}
        assert kinds <= {"configMap", "secret", "projected", "emptyDir"}, name
        assert {"cpu", "memory"} <= container(pod)["resources"]["requests"].keys(), name
        assert "memory" in container(pod)["resources"]["limits"], name


def test_probes_ask_what_the_contract_has_at_ports_where_the_program_listens() -> None:
    ports = {
        "whence-aggregator": parse_settings(settings("aggregator.yaml").encode(), name="a").listen_port,
        "whence-witness": parse_witness_settings(settings("witness.yaml").encode(), name="w").listen_port,
    }
    served = {one.path for one in contract().operations if one.method.lower() == "get"}
    for name, pod in pods():
        if name not in ports:
            continue
        one = container(pod)
        assert one["ports"] == [{"name": "http", "containerPort": ports[name]}]
        probes = {kind: one[kind]["httpGet"] for kind in one if kind.endswith("Probe")}
        assert {asked["port"] for asked in probes.values()} == {"http"}
        assert {asked["path"] for asked in probes.values()} <= served
        assert (probes["livenessProbe"]["path"], probes["readinessProbe"]["path"]) == ("/health", "/ready"), name
        service = of("Service", name)["spec"]
        assert service["ports"] == [{"name": "http", "port": ports[name], "targetPort": "http"}]
        assert service["selector"].items() <= pod["metadata"]["labels"].items()
        allowed = [
            port["port"]
            for policy in documents()
            if policy["kind"] == "NetworkPolicy" and policy["metadata"]["name"] == name
            for rule in policy["spec"]["ingress"]
            for port in rule["ports"]
        ]
        assert allowed == [ports[name]]


def test_arguments_are_commands_of_the_program_and_the_image_is_of_its_version() -> None:
    for _, pod in pods():
        with pytest.raises(SystemExit) as ended:
            main([*container(pod)["args"], "--help"])
        assert ended.value.code == 0
        assert container(pod)["image"].rpartition(":")[2] == __version__


def test_selectors_match_and_one_replica_may_be_evicted() -> None:
    for kind, name in (("StatefulSet", "aggregator"), ("StatefulSet", "witness")):
        one = of(kind, name)["spec"]
        assert one["selector"]["matchLabels"].items() <= one["template"]["metadata"]["labels"].items()
    replicas, budget = of("StatefulSet", "aggregator")["spec"], of("PodDisruptionBudget")["spec"]
    assert budget["minAvailable"] == replicas["replicas"] - 1 == 1
    assert budget["selector"] == replicas["selector"]
    templates = [pod["metadata"]["labels"] for _, pod in pods()]
    for policy in (one for one in documents() if one["kind"] == "NetworkPolicy"):
        wanted = policy["spec"]["podSelector"].get("matchLabels", {})
        assert any(wanted.items() <= labels.items() for labels in templates), policy["metadata"]["name"]


def test_nothing_is_reachable_that_is_not_listed() -> None:
    assert of("NetworkPolicy", "nobody")["spec"]["podSelector"] == {}
    assert of("NetworkPolicy", "nobody")["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in of("NetworkPolicy", "nobody")["spec"]


def test_a_pod_has_the_time_to_end_that_its_settings_need() -> None:
    for name, drain in (
        ("aggregator", parse_settings(settings("aggregator.yaml").encode(), name="a").drain_seconds),
        ("witness", parse_witness_settings(settings("witness.yaml").encode(), name="w").drain_seconds),
    ):
        spec = of("StatefulSet", name)["spec"]["template"]["spec"]
        assert spec["terminationGracePeriodSeconds"] > drain + _REQUEST_SECONDS_MAX
    probe = container(of("StatefulSet", "aggregator")["spec"]["template"])["readinessProbe"]
    assert drain_of_aggregator() >= probe["periodSeconds"] * probe["failureThreshold"]


def drain_of_aggregator() -> float:
    return parse_settings(settings("aggregator.yaml").encode(), name="a").drain_seconds


def mounted(name: str) -> dict[str, set[str]]:
    """Give the files at each place of a pod's read-only volumes, by the commands of the README and the ConfigMap."""
    pod = dict(pods())[name]
    volumes = {one["name"]: one for one in pod["spec"]["volumes"]}
    found = {}
    for mount in container(pod)["volumeMounts"]:
        volume = volumes.get(mount["name"], {})
        sources = volume.get("projected", {}).get("sources", [volume])
        found[mount["mountPath"]] = {file for source in sources for file in _files(source)}
    return found


def _files(source: dict[str, Any]) -> set[str]:
    if "configMap" in source:
        items = source["configMap"].get("items")
        return {one["path"] for one in items} if items else set(of("ConfigMap")["data"])
    if "secret" in source:
        return secrets()[source["secret"].get("secretName") or source["secret"]["name"]]
    return set()


def secrets() -> dict[str, set[str]]:
    """Give the files of each Secret that the README creates."""
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    found = {}
    for line in re.findall(r"^kubectl -n whence create secret generic (.*)$", text, re.MULTILINE):
        name, *options = shlex.split(line)
        found[name] = {Path(one.removeprefix("--from-file=")).name for one in options}
    return found


def test_secrets_come_from_files_that_prepare_makes_and_each_pod_gets_its_own_only(tmp_path: Path) -> None:
    assert main(["prepare", str(tmp_path), *_OPTIONS]) == 0
    made = {one.name for one in (tmp_path / "secrets").iterdir()}
    assert {file for files in secrets().values() for file in files} - {"tokens"} == made
    used = {name: mounted(name)["/run/secrets/whence"] for name, _ in pods()}
    assert used == {
        "whence-aggregator": {"log.key", "heartbeat.secret", "database.password", "replica.token"},
        "whence-tables": {"database-owner.password"},
        "whence-witness": {"witness.key"},
    }
    assert [one for one in documents() if one["kind"] == "Secret"] == []
    for _, pod in pods():
        assert [one for one in container(pod).get("env", []) if one["name"] != "WHENCE_DATABASE"] == []


@pytest.mark.parametrize(
    "name, file", [("whence-aggregator", "aggregator.yaml"), ("whence-tables", "aggregator.yaml"), ("whence-witness", "witness.yaml")]
)  # fmt: skip
def test_every_file_that_settings_and_environment_name_is_mounted(name: str, file: str) -> None:
    places = mounted(name)
    assert file in places["/etc/whence"]
    environment = " ".join(one["value"] for one in container(dict(pods())[name]).get("env", []))
    named = environment if name == "whence-tables" else settings(file)
    found = re.findall(r"(/run/secrets/whence|/etc/whence)/([A-Za-z0-9._-]+)", named)
    assert found
    assert [one for one in found if one[1] not in places[one[0]]] == []
    if name == "whence-aggregator":
        assert "tokens" in places["/etc/whence"]


def test_state_is_on_a_volume_that_outlives_the_pod() -> None:
    for name, directory in (
        ("aggregator", str(Path(parse_settings(settings("aggregator.yaml").encode(), name="a").checkpoint_file).parent)),
        ("witness", parse_witness_settings(settings("witness.yaml").encode(), name="w").state_directory),
    ):  # fmt: skip
        spec = of("StatefulSet", name)["spec"]
        claims = {one["metadata"]["name"] for one in spec["volumeClaimTemplates"]}
        mounts = {one["mountPath"]: one["name"] for one in container(spec["template"])["volumeMounts"]}
        assert mounts[directory] in claims


async def test_the_settings_pass_the_programs_own_check(tmp_path: Path) -> None:
    assert main(["prepare", str(tmp_path), *_OPTIONS]) == 0

    def here(text: str) -> bytes:
        text = text.replace("/run/secrets/whence", f"{tmp_path}/secrets")
        return f"{text}tokens_file: {tmp_path}/settings/tokens\nlisten_port: 0\n".encode()

    around = Surroundings(database_location=f"sqlite://{tmp_path}/ledger.db", now=lambda: datetime.now(UTC))
    written = settings("aggregator.yaml")
    found = await check_serve(read_settings(here(written), name="aggregator.yaml"), around)
    assert [one for one in found if one.severity == "error"] == []
    bent = here(written.replace("heartbeat.secret", "none/heartbeat.secret"))
    found = await check_serve(read_settings(bent, name="aggregator.yaml"), around)
    assert [one.code for one in found if one.severity == "error"] == ["directory-missing"]

    text = settings("witness.yaml").replace("/run/secrets/whence", f"{tmp_path}/secrets")
    content = f"{text}state_directory: {tmp_path}\nlisten_port: 0\n".encode()
    assert await check_witness(read_witness_settings(content, name="witness.yaml"), around) == []


def test_what_prepare_writes_has_the_keys_of_the_manifest(tmp_path: Path) -> None:
    (command,) = [line for line in (FOLDER / "README.md").read_text().splitlines() if "prepare /whence" in line]
    words = shlex.split(command)
    options = words[words.index("/whence") + 1 :]
    assert main(["prepare", str(tmp_path), *options]) == 0
    for name, own in (("aggregator.yaml", {"registries", "git_servers", "drain_seconds"}), ("witness.yaml", set())):
        made = yaml.safe_load((tmp_path / "settings" / name).read_text())
        shown = yaml.safe_load(settings(name))
        assert shown.keys() - made.keys() == own
        keyed = {"witnesses", "log_keys"}
        assert {key: shown[key] for key in made if key not in keyed} == {
            key: made[key] for key in made if key not in keyed
        }
        assert [one["url"] for one in shown.get("witnesses", [])] == [one["url"] for one in made.get("witnesses", [])]
