"""The files of Dockerfile and deploy/: linted, valid, and saying what the code says."""

from __future__ import annotations

import configparser
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from penult_server.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "deploy" / "compose.yaml"


def compose() -> Any:
    return yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))


def beside_python(command: str) -> str:
    found = shutil.which(command, path=str(Path(sys.executable).parent)) or shutil.which(command)
    if found is None:
        pytest.skip(f"{command} is not installed")
    return found


def test_the_dockerfile_passes_hadolint() -> None:
    done = subprocess.run(
        [beside_python("hadolint"), str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(
    importlib.util.find_spec("check_jsonschema") is None, reason="check-jsonschema is not installed"
)
def test_the_compose_file_is_one_by_the_compose_specification() -> None:
    command = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        "vendor.compose-spec",
        str(COMPOSE),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_setting_that_an_image_or_container_sets_exists() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8") + COMPOSE.read_text(encoding="utf-8")
    known = {f"PENULT_{name.upper()}" for name in Settings.model_fields}
    for_compose = {"PENULT_IMAGE", "PENULT_PUBLISH"}
    assert set(re.findall(r"PENULT_[A-Z_]+[A-Z]", text)) - for_compose <= known


def test_the_compose_file_names_files_networks_and_volumes_that_exist() -> None:
    file = compose()
    for config in file["configs"].values():
        assert (COMPOSE.parent / config["file"]).is_file()
    for service in file["services"].values():
        assert service["profiles"]
        for config in service.get("configs", ()):
            assert config["source"] in file["configs"]
        for volume in service["volumes"]:
            assert volume.partition(":")[0] in file["volumes"]
        assert all(
            port.startswith(("127.0.0.1:", "${PENULT_PUBLISH:-127.0.0.1:"))
            for port in service.get("ports", ())
        )
        assert set(service.get("depends_on", ())) <= set(file["services"])
    (target,) = yaml.safe_load((ROOT / "deploy" / "prometheus.yml").read_text())["scrape_configs"][0][
        "static_configs"
    ]
    host, _, port = target["targets"][0].partition(":")
    server = file["services"]["cpu"]
    assert host in server["networks"]["default"]["aliases"]
    assert server["environment"]["PENULT_METRICS_LISTEN"].endswith(f":{port}")
    json.loads((ROOT / "deploy" / "grafana" / "penult.json").read_text())


def test_the_database_is_pinned_healthy_first_and_has_no_password_in_the_file() -> None:
    services = compose()["services"]
    database = services["postgres"]
    assert re.fullmatch(r"postgres:\d+\.\d+-\w+", database["image"])
    assert "pg_isready" in " ".join(database["healthcheck"]["test"])
    assert database["environment"]["POSTGRES_PASSWORD"] == "${POSTGRES_PASSWORD:-}"
    assert "ports" not in database, "only the server reaches it"
    for name in ("cpu", "gpu"):
        assert services[name]["depends_on"]["postgres"] == {"condition": "service_healthy", "required": False}
        environment = services[name]["environment"]
        assert environment["PGPASSWORD"] == database["environment"]["POSTGRES_PASSWORD"]
        assert environment["PENULT_DATABASE_URL"] == "${PENULT_DATABASE_URL:-}"


def test_the_server_has_longer_to_stop_than_its_drain_takes() -> None:
    drain = Settings.model_fields["drain_seconds"].default
    assert int(compose()["services"]["cpu"]["stop_grace_period"].rstrip("s")) > drain


def test_the_systemd_unit_runs_a_command_that_exists_and_lets_it_drain() -> None:
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[method-assign,assignment]  # systemd's names have capitals
    unit.read_string((ROOT / "deploy" / "penult.service").read_text(encoding="utf-8"))
    program, command, *flags = unit["Service"]["ExecStart"].split()
    assert (Path(program).name, command, flags[0]) == ("penult-server", "serve", "--config")
    assert int(unit["Service"]["TimeoutStopSec"]) > Settings.model_fields["drain_seconds"].default
