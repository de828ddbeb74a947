"""What runs in containers, on Kubernetes and under systemd: never run here, so at least linted."""

import json
import re
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path
from shutil import which
from typing import Any

import prefect.settings
import pytest
import yaml
from prefect.client.schemas.actions import WorkPoolCreate

from deployments import prefect_yaml, to_postgresql
from tasks.close.settings import CloseSettings

ROOT = Path(__file__).parent.parent.parent
FILES = ROOT / "deployments"
DOCKERFILE = (FILES / "docker" / "Dockerfile").read_text()
COMPOSE = FILES / "docker" / "compose.yaml"
UNITS = sorted((FILES / "systemd").glob("*.service"))
POOL: dict[str, Any] = json.loads((FILES / "kubernetes" / "work-pool.json").read_text())
SERVER_SETTING = re.compile(r"PREFECT_SERVER_(?:EVENTS|CONCURRENCY|SERVICES)\w+[=:] ?[\w.]+")


def test_compose_yaml_meets_the_schema_of_compose() -> None:
    command = [Path(sys.executable).parent / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE]
    checked = subprocess.run(command, check=False, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


def test_every_service_but_the_database_is_of_our_image_and_each_says_whether_it_is_well() -> None:
    """The health check of the image is that of a worker."""
    services: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text())["services"]
    assert {name for name, each in services.items() if each["image"] != "close-lead-cleanup"} == {"database"}
    assert {name for name, each in services.items() if "healthcheck" not in each} == {"worker"}
    assert "--with-healthcheck" in DOCKERFILE
    assert {name for name, each in services.items() if "profiles" in each} == {"sandbox"}


def test_the_image_has_what_it_copies_and_no_root() -> None:
    allowed = (FILES / "docker" / "Dockerfile.dockerignore").read_text()
    copied = [name for line in re.findall(r"^COPY ((?!--).+) \S+$", DOCKERFILE, re.MULTILINE) for name in line.split()]
    assert {"pyproject.toml", "requirements.lock", "flows", "tasks", "deployments"} <= {*copied}
    for name in copied:
        assert (ROOT / name).exists()
        assert f"!{name}\n" in allowed
    assert re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE) == ["1000"]


@pytest.mark.parametrize("file", [FILES / "docker" / "Dockerfile", COMPOSE, *UNITS], ids=lambda file: file.name)
def test_every_setting_that_is_named_exists(file: Path) -> None:
    """A setting that doesn't is ignored, by Prefect and by ours."""
    for name in re.findall(r"\b(?:PREFECT|CLOSE)_[A-Z_]+", file.read_text()):
        known = {f"CLOSE_{each.upper()}" for each in CloseSettings.model_fields}
        assert name in known or hasattr(prefect.settings, name), name


@pytest.mark.parametrize(
    "file", [COMPOSE, FILES / "systemd" / "lead-cleanup-server.service"], ids=lambda file: file.name
)
def test_the_server_has_the_settings_of_make_server(file: Path) -> None:
    def settings(text: str) -> set[str]:
        return {re.sub("[=:] ?", "=", each) for each in SERVER_SETTING.findall(text)}

    wanted = settings((ROOT / "Makefile").read_text())
    assert len(wanted) == 3
    assert settings(file.read_text()) == wanted


def test_the_template_of_a_kubernetes_pool_is_one_and_takes_what_deployments_set() -> None:
    """No pod is started twice: Kubernetes would start the run's process again without asking Prefect."""
    WorkPoolCreate(name="lead-cleanup", type="kubernetes", base_job_template=POOL)
    job = POOL["job_configuration"]["job_manifest"]["spec"]
    assert (job["backoffLimit"], job["template"]["spec"]["restartPolicy"]) == (0, "Never")
    for each in prefect_yaml.read(ROOT / "prefect.yaml").document(paused=set())["deployments"]:
        assert {*each["work_pool"]["job_variables"]} <= {*POOL["variables"]["properties"]}


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_starts_what_is_installed(unit: Path, tmp_path: Path) -> None:
    """As systemd reads it, where there is a systemd."""
    text = unit.read_text().replace("/opt/lead-cleanup", str(ROOT))
    read = ConfigParser(strict=False, interpolation=None)
    read.optionxform = str  # pyright: ignore[reportAttributeAccessIssue]
    read.read_string(text)
    assert Path(read["Service"]["ExecStart"].split()[0]).exists()
    if verify := which("systemd-analyze"):
        (tmp_path / unit.name).write_text(text)
        said = subprocess.run([verify, "verify", tmp_path / unit.name], check=False, capture_output=True, text=True)
        assert (said.returncode, said.stderr) == (0, "")


@pytest.mark.parametrize(
    ("url", "sentence"), [("", "Set PREFECT_SERVER_DATABASE_"), ("postgresql+asyncpg://x", "There is no file")]
)
def test_a_move_to_nowhere_or_of_nothing_is_one_sentence(
    url: str, sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(to_postgresql.URL, url)
    assert to_postgresql.call(["missing.db"]) == 1
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert err.startswith(f"Nothing was copied. {sentence}")
