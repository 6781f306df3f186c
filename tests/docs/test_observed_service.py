"""
The observed service in docs/examples: run with an exporter and no collector, and what surrounds it.

The alert rules and the dashboard ask only for metrics and labels that the service really exports.
"""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import dockerfile_parse
import kubernetes_validate
import prometheus_client
import promql_parser
import pytest
import yaml
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client.parser import text_string_to_metric_families

import aritma_auth as aa
from aritma_auth import events
from aritma_auth.integrations.opentelemetry import Telemetry

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs/examples/observed_service"
HADOLINT = Path(sys.executable).parent / "hadolint"
LABELS = {"le", "error_type", "http_response_status_code", "server_address", "server_port"}


def load():
    spec = importlib.util.spec_from_file_location("observed_service", FOLDER / "service.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SERVICE = load()


@pytest.fixture
async def service(aritma_sandbox, monkeypatch, tmp_path):
    """Run the service against the sandbox, with its settings in the environment."""
    secret = tmp_path / "client-secret"
    secret.write_text(aritma_sandbox.client.client_secret)
    monkeypatch.setenv("ARITMA_CLIENT_ID", aritma_sandbox.client.client_id)
    monkeypatch.setenv("ARITMA_CLIENT_SECRET_FILE", str(secret))
    monkeypatch.setenv("ARITMA_ISSUER", aritma_sandbox.identity_url)
    monkeypatch.setenv("ARITMA_SCOPE", "bankservice")
    monkeypatch.setenv("BANK_URL", aritma_sandbox.banking_url)
    async with TestClient(TestServer(SERVICE.make_app())) as client:
        yield client


async def read(client, path):
    async with client.get(path) as response:
        return response.status, await response.text()


async def test_the_service_is_seen_from_outside(service, aritma_sandbox):
    """Probes, status and metrics tell of one token, and no secret shows."""
    for _ in range(3):
        status, body = await read(service, "/accounts/42")
        assert (status, "Bban" in body) == (200, True)
    # With a token: the probe waits a second for one, which is little on a busy machine.
    assert (await read(service, "/health/ready"))[0] == 200
    status = json.loads((await read(service, "/status"))[1])
    _, metrics = await read(service, "/metrics")
    found = {
        sample.name: sample.value
        for family in text_string_to_metric_families(metrics)
        for sample in family.samples
    }

    assert status["has_token"]
    assert found["aritma_auth_token_requests_total"] == 1
    assert found["aritma_auth_refresh_waiters_sum"] == 1
    assert 3500 < found["aritma_auth_token_remaining_seconds"] <= 3600
    assert aritma_sandbox.client.client_secret not in metrics
    assert len(aritma_sandbox.token_requests) == 1


async def test_a_failure_takes_the_service_out_of_the_rotation_and_kills_it_not(service, tmp_path):
    """Readiness fails, liveness does not, and callers are told to come again."""
    (tmp_path / "client-secret").write_text("wrong")
    ready = await read(service, "/health/ready")
    live = await read(service, "/health/live")
    async with service.get("/accounts/42") as response:
        retry_after = int(response.headers["Retry-After"])
    _, metrics = await read(service, "/metrics")

    assert (ready[0], live[0], response.status) == (503, 200, 503)
    assert retry_after >= 1
    assert 'error_type="InvalidClientError"' in metrics


@pytest.fixture
def exported():
    """Give the names and labels of everything that Telemetry can export."""
    meters = SERVICE.MeterProvider([SERVICE.PrometheusMetricReader()])
    telemetry = Telemetry(None, meter_provider=meters)
    about = {
        "issuer": "https://idp.example",
        "client_id": "me",
        "tenant": "acme",
        "key": "acme",
        "grant": "client_credentials",
    }
    down = aa.TransportError("down")
    for event in (
        events.TokenAcquired("1a2b3c4d", 60.0, 0.1, **about),
        events.TokenRequestFailed(down, 0.1, **about),
        events.RefreshFailed(down, 1, 1.0, has_live_token=True, **about),
        events.FlightEnded(1, "issued", 0.1, 1, **about),
        events.TokenRejected("1a2b3c4d", refreshes=True, **about),
        events.RequestReplayed("https://api.example", 200, **about),
        events.NonceRequired("https://api.example", **about),
        events.RequestUnsigned("https://api.example", **about),
        events.StoreUsed("load", 0.1, **about),
        events.StoreFailed("load", "OSError", **about),
    ):
        telemetry(event)
    text = prometheus_client.generate_latest().decode()
    yield {
        sample.name: set(sample.labels)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    meters.shutdown()


def expressions_of_alerts():
    rules = yaml.safe_load((FOLDER / "alerts.yml").read_text())
    return [(rule["alert"], rule["expr"]) for group in rules["groups"] for rule in group["rules"]]


def expressions_of_dashboard():
    dashboard = json.loads((FOLDER / "dashboard.json").read_text())
    return [
        (f"{panel['title']} {target['refId']}", target["expr"])
        for panel in dashboard["panels"]
        for target in panel["targets"]
    ]


EXPRESSIONS = dict([*expressions_of_alerts(), *expressions_of_dashboard()])


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_what_prometheus_is_asked_for_exists(name, exported):
    """Each expression parses, and each metric and label in it is exported."""
    expression = EXPRESSIONS[name]
    promql_parser.parse(expression)
    metrics = set(re.findall(r"\baritma_auth_\w+(?=[{\[ )]|$)", expression))
    labels = set(re.findall(r"(\w+)(?:=~|!~|!=|=)\"", expression))
    for grouped in re.findall(r"by \(([^)]*)\)", expression):
        labels |= set(grouped.split(", "))
    metrics -= labels

    assert metrics
    assert metrics <= exported.keys()
    known = set().union(*(exported[metric] for metric in metrics))
    assert labels <= known | LABELS


def test_alerts_name_labels_that_exist(exported):
    """An annotation with a label that is not there would be empty."""
    text = (FOLDER / "alerts.yml").read_text()
    known = set().union(*exported.values())

    assert set(re.findall(r"\$labels\.(\w+)", text)) <= known
    assert "rule_files:\n  - alerts.yml" in (FOLDER / "prometheus.yml").read_text()


def test_the_dashboard_has_places_and_a_source_for_every_panel():
    """No panel hides another, and each asks the chosen source."""
    dashboard = json.loads((FOLDER / "dashboard.json").read_text())
    panels = dashboard["panels"]
    taken = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]

    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len(taken) == len(set(taken))
    assert {x for x, _ in taken} == set(range(24))
    assert {panel["datasource"]["uid"] for panel in panels} == {"${datasource}"}


def manifests():
    return list(yaml.safe_load_all((FOLDER / "kubernetes.yaml").read_text()))


@pytest.mark.parametrize("version", ["1.31", kubernetes_validate.latest_version()])
def test_the_manifest_is_what_kubernetes_knows(version):
    """Each resource follows Kubernetes' own schema, with no field that it does not know."""
    for manifest in manifests():
        kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"replicas": "two"}, "replicas"),
        ({"replica": 2}, "replica"),
        ({"template": {"spec": {"containers": [{"image": "a"}]}}}, "name"),
    ],
)
def test_a_wrong_manifest_would_be_noticed(change, problem):
    """A wrong kind, an unknown field and a missing one are found."""
    deployment, _ = manifests()
    deployment["spec"] |= change

    with pytest.raises(kubernetes_validate.ValidationError, match=problem):
        kubernetes_validate.validate(deployment, "1.31", strict=True)


@pytest.mark.skipif(not HADOLINT.exists(), reason="hadolint is installed on Linux alone")
def test_a_linter_has_nothing_to_say_of_the_image():
    """hadolint finds nothing in the steps, and its shell checker nothing in their commands."""
    linted = subprocess.run(
        [HADOLINT, "--no-fail", "--format", "json", FOLDER / "Dockerfile"],
        check=True,
        capture_output=True,
    )

    assert json.loads(linted.stdout) == []


def test_the_probes_ask_for_what_the_service_serves():
    """Readiness and liveness are routes of their own, on the port that is open."""
    deployment, service = manifests()
    pod = deployment["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    routes = {route.canonical for route in SERVICE.make_app().router.resources()}
    (port,) = container["ports"]
    probes = {
        kind: container[kind]["httpGet"]["path"] for kind in ("readinessProbe", "livenessProbe")
    }

    assert probes == {"readinessProbe": "/health/ready", "livenessProbe": "/health/live"}
    assert set(probes.values()) | {pod["metadata"]["annotations"]["prometheus.io/path"]} <= routes
    assert container["readinessProbe"]["timeoutSeconds"] > 1
    assert port["containerPort"] == 8080
    assert f"port={port['containerPort']}" in (FOLDER / "service.py").read_text()
    assert service["spec"]["selector"] == pod["metadata"]["labels"]


def test_the_secret_is_a_file_that_the_pod_mounts():
    """No secret stands in a variable, and the mounted folder is the one that is read."""
    deployment, _ = manifests()
    spec = deployment["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    variables = {variable["name"]: variable["value"] for variable in container["env"]}
    (mount,) = container["volumeMounts"]

    assert "ARITMA_CLIENT_SECRET" not in variables
    assert variables["ARITMA_CLIENT_SECRET_FILE"] == f"{mount['mountPath']}/client-secret"
    assert [volume["name"] for volume in spec["volumes"]] == [mount["name"]]


def test_the_image_is_built_of_what_is_there(tmp_path):
    """Every copied file exists, and the service runs without the rights of root."""
    parser = dockerfile_parse.DockerfileParser(path=str(tmp_path))
    parser.content = (FOLDER / "Dockerfile").read_text()
    steps = [(step["instruction"], step["value"]) for step in parser.structure]
    copied = [value.split() for kind, value in steps if kind == "COPY"]
    sources = [source for words in copied if "--from" not in words[0] for source in words[:-1]]

    assert sources
    assert [source for source in sources if not (ROOT / source).exists()] == []
    assert [kind for kind, _ in steps].count("FROM") == 2
    assert ("USER", "65532:65532") in steps
    assert json.loads(dict(steps)["ENTRYPOINT"])[-1] == "/app/service.py"
