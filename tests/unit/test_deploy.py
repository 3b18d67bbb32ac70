"""What is in deploy/ fits the product: its settings exist and are accepted, ports, paths and times are the product's own."""

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from taskdash.settings.model import Settings
from taskdash.settings.sources import load
from taskdash.web.api import health, stream

DEPLOY = Path("deploy")
EXAMPLE = DEPLOY / "taskdash.example.toml"
UNITS = sorted(DEPLOY.glob("systemd/*.service"))
HTTP_PORT, TCP_PORT, DRAIN_S = 8700, 8701, 10
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
KUBERNETES = [part for page in DEPLOY.glob("kubernetes/*.yaml") for part in yaml.safe_load_all(page.read_text())]
OF_A_SERVICE = {
    "build", "cap_drop", "command", "depends_on", "environment", "healthcheck", "image", "ports", "read_only", "restart",
    "secrets", "security_opt", "stop_grace_period", "tmpfs", "volumes",
}  # fmt: skip


def accepted(environ: dict[str, str], toml: str, tmp_path: Path) -> Settings:
    """The settings as TaskDash itself reads them; it refuses every name that it does not know."""
    kept = tmp_path / "taskdash.toml"
    kept.write_text(toml)
    return load({}, {name: value for name, value in environ.items() if name != "TASKDASH_CONFIG"}, kept)


def image_environ() -> dict[str, str]:
    text = (DEPLOY / "Containerfile").read_text()
    return dict(re.findall(r"(TASKDASH_\w+)=(\S+)", re.sub(r"^#.*", "", text, flags=re.M)))


def kind(name: str) -> Any:
    return next(part for part in KUBERNETES if part["kind"] == name)


def container() -> Any:
    return kind("Deployment")["spec"]["template"]["spec"]["containers"][0]


def unit(path: Path) -> dict[str, list[str]]:
    """The keys of a unit, each with its values."""
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", path.read_text(), re.M):
        found.setdefault(name, []).append(value)
    return found


def in_seconds(text: str) -> int:
    return int(re.fullmatch(r"(\d+)s?", text)[1])  # type: ignore[index]


# settings


def test_the_instances_of_the_compose_file_start_with_its_settings(tmp_path: Path) -> None:
    for name in ("taskdash-a", "taskdash-b"):
        settings = accepted(image_environ() | COMPOSE["services"][name]["environment"], EXAMPLE.read_text(), tmp_path)
        assert settings.is_cluster
        assert settings.db.startswith("postgresql://taskdash:")
        assert settings.http.trusted_proxies


def test_the_pods_start_with_their_settings(tmp_path: Path) -> None:
    environ = image_environ() | {entry["name"]: entry["value"] for entry in container()["env"]}
    settings = accepted(environ, kind("Secret")["stringData"]["taskdash.toml"], tmp_path)
    assert settings.is_cluster
    assert settings.http.trusted_proxies


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_a_unit_starts_with_its_settings(path: Path, tmp_path: Path) -> None:
    told = dict(entry.split("=", 1) for entry in unit(path).get("Environment", []))
    told |= dict(re.findall(r"^#   (TASKDASH_\w+)=(\S+)", path.read_text(), re.M))
    settings = accepted(told, EXAMPLE.read_text(), tmp_path)
    assert (settings.http.listen.port, settings.tcp.listen.port) == (HTTP_PORT, TCP_PORT)
    command = unit(path)["ExecStart"][0].split()
    assert command[1:3] == ["serve", "--data-dir"]
    assert command[3] == "/var/lib/" + unit(path)["StateDirectory"][0]


def test_a_secret_stands_in_a_file_alone() -> None:
    for part in (*COMPOSE["services"].values(), *({"environment": {e["name"]: e["value"]}} for e in container()["env"])):
        for name, value in part.get("environment", {}).items():
            assert not re.search("PASSWORD$|TOKEN|AUTH|_DB$", name) or name == "POSTGRES_DB", name
            assert "CHANGE-ME" not in value
    for text in (EXAMPLE.read_text(), kind("Secret")["stringData"]["taskdash.toml"]):
        assert tomllib.loads(text)["tcp"]["token"].startswith("CHANGE-ME")


# ports, paths, times


def test_ports_and_paths_are_the_products_own() -> None:
    image = (DEPLOY / "Containerfile").read_text()
    assert [int(image_environ()[f"TASKDASH_{name}"].rpartition(":")[2]) for name in ("HTTP", "TCP")] == [HTTP_PORT, TCP_PORT]
    assert f"EXPOSE {HTTP_PORT} {TCP_PORT}" in image
    assert f"http://127.0.0.1:{HTTP_PORT}/healthz" in image
    assert {port["name"]: port["containerPort"] for port in container()["ports"]} == {"http": HTTP_PORT, "tcp": TCP_PORT}
    assert [port["port"] for port in kind("Service")["spec"]["ports"]] == [HTTP_PORT, TCP_PORT]
    probes = {name: container()[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")}
    assert probes == {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}
    assert {*probes.values(), "/metrics"} == {path for route in health.ROUTES for path in route.paths}


def test_everything_that_stops_a_taskdash_waits_for_its_drain() -> None:
    pod = kind("Deployment")["spec"]["template"]["spec"]
    before = int(container()["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] >= before + DRAIN_S
    assert before > container()["readinessProbe"]["periodSeconds"]
    for name in ("taskdash-a", "taskdash-b"):
        assert in_seconds(COMPOSE["services"][name]["stop_grace_period"]) > DRAIN_S
    for path in UNITS:
        assert in_seconds(unit(path)["TimeoutStopSec"][0]) > DRAIN_S


def test_a_roll_out_takes_no_pod_away_before_another_is_ready() -> None:
    spec = kind("Deployment")["spec"]
    assert spec["replicas"] == 2
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    labels = spec["template"]["metadata"]["labels"]
    assert spec["selector"]["matchLabels"] == labels
    assert kind("Service")["spec"]["selector"] == labels
    assert kind("PodDisruptionBudget")["spec"] == {"minAvailable": 1, "selector": {"matchLabels": labels}}
    assert pod_mounts() == {volume["name"] for volume in spec["template"]["spec"]["volumes"]}


def pod_mounts() -> set[str]:
    return {mount["name"] for mount in container()["volumeMounts"]}


# the compose file itself


def test_the_compose_file_names_only_what_it_declares() -> None:
    services = COMPOSE["services"]
    assert set(services) == {"taskdash-a", "taskdash-b", "proxy", "nsqlookupd", "nsqd-1", "nsqd-2", "postgres"}
    for name, service in services.items():
        assert set(service) <= OF_A_SERVICE, name
        assert set(service.get("depends_on", {})) <= set(services)
        assert set(service.get("secrets", [])) <= set(COMPOSE["secrets"])
        named = [volume.split(":")[0] for volume in service.get("volumes", [])]
        assert {volume for volume in named if not volume.startswith(".")} <= set(COMPOSE["volumes"])
        assert all((DEPLOY / volume).exists() or volume == "./certificates" for volume in named if volume.startswith("."))
        for needed, how in service.get("depends_on", {}).items():
            assert how == {"condition": "service_healthy"}
            assert "healthcheck" in services[needed] or needed.startswith("taskdash-"), needed
    assert (DEPLOY / COMPOSE["services"]["taskdash-a"]["build"]["context"] / "deploy/Containerfile").exists()


def test_the_image_is_built_from_hashed_requirements_and_runs_without_rights() -> None:
    lines = (DEPLOY / "Containerfile").read_text().splitlines()
    froms = [line.split()[1] for line in lines if line.startswith("FROM ")]
    assert set(froms) == {"python:3.11-slim"}
    assert len(froms) == 2
    assert any("--require-hashes -r requirements.txt" in line for line in lines)
    assert lines.index("USER 10001") > max(n for n, line in enumerate(lines) if line.startswith("RUN "))
    copied = [source for line in lines if line.startswith("COPY ") and "--from" not in line for source in line.split()[1:-1]]
    assert [source for source in copied if not Path(source).exists()] == []
    assert kind("Deployment")["spec"]["template"]["spec"]["securityContext"]["runAsUser"] == 10001


# units


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_a_unit_is_hardened_and_ends_as_taskdash_does(path: Path) -> None:
    wanted = {
        "Type": "exec",
        "NoNewPrivileges": "yes",
        "ProtectSystem": "strict",
        "ProtectHome": "yes",
        "StateDirectoryMode": "0700",
        "Restart": "on-failure",
        "CapabilityBoundingSet": "",
        "User": "taskdash",
    }
    found = unit(path)
    assert {name: found[name][0] for name in wanted} == wanted
    assert found["LoadCredential"] == ["taskdash.toml:/etc/taskdash/taskdash.toml"]
    assert found["Environment"] == ["TASKDASH_CONFIG=%d/taskdash.toml"]


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_systemd_understands_every_key_of_a_unit(path: Path, tmp_path: Path) -> None:
    """By systemd's own reader where there is one; else every key must be one that systemd 252 has."""
    if not shutil.which("systemd-analyze"):
        assert set(unit(path)) <= KEYS
        return
    taskdash = Path(sys.executable).parent / "taskdash"
    copy = tmp_path / path.name
    copy.write_text(path.read_text().replace("/opt/taskdash/bin/taskdash", str(taskdash)))
    checked = subprocess.run(["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert set(unit(path)) <= KEYS


KEYS = {
    "After", "CapabilityBoundingSet", "Description", "Environment", "EnvironmentFile", "ExecStart", "Group", "LimitNOFILE",
    "LoadCredential", "LockPersonality", "NoNewPrivileges", "PrivateDevices", "PrivateTmp", "ProtectClock",
    "ProtectControlGroups", "ProtectHome", "ProtectHostname", "ProtectKernelLogs", "ProtectKernelModules",
    "ProtectKernelTunables", "ProtectProc", "ProtectSystem", "RemoveIPC", "Restart", "RestartSec", "RestrictAddressFamilies",
    "RestrictNamespaces", "RestrictRealtime", "RestrictSUIDSGID", "StartLimitIntervalSec", "StateDirectory",
    "StateDirectoryMode", "SystemCallArchitectures", "SystemCallErrorNumber",
    "SystemCallFilter", "TimeoutStopSec", "Type", "UMask", "User", "WantedBy",
    "Wants",
}  # fmt: skip


# the reverse proxy


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """(head, body) of every innermost block."""
    return iter(re.findall(r"([^{};]+?)\s*\{([^{}]*)\}", re.sub(r"#.*", "", text)))


def test_the_proxy_reaches_every_instance_and_streams_without_a_buffer() -> None:
    text = (DEPLOY / "nginx.conf").read_text()
    found = {head.strip(): body for head, body in blocks(text)}
    instances = [name for name in COMPOSE["services"] if name.startswith("taskdash-")]
    for upstream, port in (("taskdash", HTTP_PORT), ("tcp", TCP_PORT)):
        assert re.findall(r"server (\S+)", found[f"upstream {upstream}"]) == [f"{name}:{port}" for name in instances]
    (path,) = stream.ROUTES[0].paths
    streaming = found[f"location = {path}"]
    assert "proxy_buffering off;" in streaming
    assert float(re.findall(r"proxy_read_timeout (\d+)s", streaming)[0]) > 2 * 15
    for header in ("Host $host", "X-Forwarded-For $proxy_add_x_forwarded_for", "X-Forwarded-Proto $scheme"):
        assert f"proxy_set_header {header};" in text
    assert text.count("{") == text.count("}")


def test_nginx_accepts_the_configuration(tmp_path: Path) -> None:
    """By nginx itself where there is one; else every directive must be one that it has."""
    text = re.sub(r"taskdash-[ab]:", "127.0.0.1:", (DEPLOY / "nginx.conf").read_text())
    assert set(re.findall(r"^\s*([a-z_]+)\b", re.sub(r"#.*", "", text), re.M)) <= DIRECTIVES
    if nginx := shutil.which("nginx"):
        checked = subprocess.run([nginx, "-t", "-c", written(tmp_path, text)], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr


def written(folder: Path, text: str) -> Path:
    """The configuration with a certificate of its own."""
    for ending in ("crt", "key"):
        text = text.replace(f"/etc/nginx/certificates/tls.{ending}", str(folder / f"tls.{ending}"))
    (folder / "nginx.conf").write_text(text.replace("/run/nginx.pid", str(folder / "pid")))
    made = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "1")
    subprocess.run([*made, "-keyout", folder / "tls.key", "-out", folder / "tls.crt"], check=True, capture_output=True)
    return folder / "nginx.conf"


DIRECTIVES = {
    "access_log", "client_max_body_size", "events", "gzip", "http", "include", "keepalive", "least_conn", "listen", "location",
    "pid", "proxy_buffering", "proxy_cache", "proxy_connect_timeout", "proxy_http_version", "proxy_next_upstream",
    "proxy_next_upstream_tries", "proxy_pass", "proxy_read_timeout", "proxy_set_header", "proxy_timeout", "return", "server",
    "server_tokens", "ssl_certificate", "ssl_certificate_key", "ssl_protocols", "ssl_session_cache", "stream", "upstream",
    "worker_connections", "worker_processes",
}  # fmt: skip
