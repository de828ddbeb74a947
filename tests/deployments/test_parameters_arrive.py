"""Whatever parameters prefect.yaml has: the server has the same after `make deploy`, or the file is refused by name."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from prefect.client.orchestration import SyncPrefectClient
from support.close_account import CloseAccount

from deployments import deploy
from deployments.prefect_yaml import read
from flows.console.documents import Unreadable

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("empty_ledger")]

FLOW = "from prefect import flow\n\n@flow(name='arrive')\ndef arrive(values: dict | None = None) -> None: ...\n"
TEMPLATES = st.sampled_from(
    ["{{ NAME }}", "a {{ NAME }} b", "{{ $HOME }}", "{{ $UNSET_HERE }}", "{{ prefect.variables.x }}", "{{ ctx.x }}"]
)
LOOKS_LIKE_ANOTHER = st.sampled_from(
    [
        "",
        " ",
        "~",
        "null",
        "yes",
        "1",
        "1e3",
        "0x1F",
        "1_000",
        "=",
        "<<",
        "{{",
        "}}",
        "{{ a b }}",
        "2024-01-01",
        "é",
        "\x85",
        "😀",
    ]
)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=8) | LOOKS_LIKE_ANOTHER
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | TEXTS | TEMPLATES
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture
def prefect(
    undeployed: SyncPrefectClient, sandbox: CloseAccount, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> SyncPrefectClient:
    monkeypatch.setattr(deploy, "ROOT", tmp_path)
    (tmp_path / "arrive.py").write_text(FLOW)
    return undeployed


@settings(
    max_examples=2,  # of dozens of deployments each; shrinking would deploy for minutes
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.dictionaries(TEXTS, VALUES, min_size=1, max_size=4), min_size=30, max_size=40))
@pytest.mark.exhaustive
def test_parameters_arrive_as_they_are_written_or_are_refused(
    prefect: SyncPrefectClient, tmp_path: Path, all_values: list[dict[str, Any]]
) -> None:
    accepted: dict[str, dict[str, Any]] = {}
    for number, values in enumerate(all_values):
        write(tmp_path, {f"a{number}": values})
        found = parameters(tmp_path / "prefect.yaml")
        if isinstance(found, Unreadable):
            assert f"a{number}.parameters.values" in str(found)
        else:
            accepted[f"a{number}"] = found["values"]
            assert same(found["values"], json.loads(json.dumps(values).replace("{{ $HOME }}", os.environ["HOME"])))

    write(tmp_path, accepted)
    assert deploy.call(()) == 0
    for name, values in accepted.items():
        there = prefect.read_deployment_by_name(f"arrive/{name}").parameters
        assert same(there, {"values": values})


def parameters(file: Path) -> dict[str, Any] | Unreadable:
    """Those of the one deployment in the file."""
    try:
        [found] = read(file).deployments
    except Unreadable as error:
        return error
    return found.parameters


def write(folder: Path, deployments: dict[str, dict[str, Any]]) -> None:
    shared = {"entrypoint": "arrive.py:arrive", "work_pool": {"name": "lead-cleanup"}}
    entries = [{"name": name, **shared, "parameters": {"values": each}} for name, each in deployments.items()]
    (folder / "prefect.yaml").write_text(yaml.safe_dump({"pull": [], "deployments": entries}), "utf-8")


def same(one: object, other: object) -> bool:
    """Whether both are the same JSON: True isn't 1."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
