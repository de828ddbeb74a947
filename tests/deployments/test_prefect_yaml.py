"""prefect.yaml as it stands: each entrypoint loads, each set of parameters is valid, everything is a dry run."""

import json
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from prefect.utilities.callables import parameter_schema
from prefect.utilities.schema_tools.validation import validate

from flows.lead_cleanup import lead_cleanup
from tasks.criteria.policy import Keep, Limits, Match

ROOT = Path(__file__).parent.parent.parent
ALL = cast("list[dict[str, Any]]", yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"])
*DEPLOYMENTS, RESTORE, OVERVIEW = ALL


@pytest.fixture(params=DEPLOYMENTS, ids=lambda each: each["name"])
def deployment(request: pytest.FixtureRequest) -> dict[str, Any]:
    return request.param


def test_the_entrypoint_is_a_flow(deployment: dict[str, Any]) -> None:
    """`prefect deploy` hides a broken import behind a placeholder; here it would show."""
    file, _, name = deployment["entrypoint"].partition(":")
    module = import_module(file.removesuffix(".py").replace("/", "."))
    assert getattr(module, name).name == "lead-cleanup"


def test_its_parameters_are_valid(deployment: dict[str, Any]) -> None:
    parameters = deployment["parameters"]
    Keep(**parameters["keep"])
    Limits(**parameters["limits"])
    if deployment["name"] != "ad-hoc":
        Match(**parameters["match"])


def test_its_form_can_be_submitted_as_it_opens(deployment: dict[str, Any]) -> None:
    """The form submits every default that the schema has; the server holds them against the same schema."""
    schema = parameter_schema(lead_cleanup).model_dump()
    defaults = {name: each["default"] for name, each in schema["properties"].items() if "default" in each}
    parameters = {**defaults, "match": {"status": ["Junk"]}, **deployment["parameters"]}

    assert validate(parameters, schema) == []


def test_its_form_asks_for_no_types_and_ends_with_what_is_dangerous() -> None:
    schema = parameter_schema(lead_cleanup).model_dump()

    assert list(schema["properties"])[-3:] == ["expect", "approval", "dry_run"]
    assert [schema["properties"][name]["position"] for name in ("match", "dry_run")] == [0, 9]
    assert schema["properties"]["dry_run"]["title"] == "Dry run"
    assert "OFF: leads are really deleted" in schema["properties"]["dry_run"]["description"]
    assert "null" not in json.dumps(schema)


def test_it_is_a_dry_run_one_at_a_time_and_tagged(deployment: dict[str, Any]) -> None:
    assert deployment["parameters"]["dry_run"] is True
    assert deployment["concurrency_limit"] == 1
    assert deployment["tags"] == ["lead-cleanup"]


def test_its_schedules_say_where_and_are_active_only_where_they_fit_everybody(deployment: dict[str, Any]) -> None:
    match = deployment["parameters"].get("match", {})
    fits_everybody = not {"status", "smart_view", "custom_fields", "s_query"} & set(match)
    for schedule in deployment.get("schedules", ()):
        assert schedule["timezone"] == deployment["parameters"]["time_zone"]
        assert schedule["active"] is fits_everybody


def test_the_key_goes_by_the_name_of_its_block(deployment: dict[str, Any]) -> None:
    env = deployment["work_pool"]["job_variables"]["env"]
    assert env["CLOSE_API_KEY_BLOCK"] == "close-api-key"
    assert not {"CLOSE_API_KEY", "CLOSE_ACCESS_TOKEN"} & set(env)


def test_the_way_back_is_a_dry_run_without_a_schedule_whose_form_wants_a_backup_only() -> None:
    file, _, name = RESTORE["entrypoint"].partition(":")
    flow = getattr(import_module(file.removesuffix(".py").replace("/", ".")), name)
    schema = parameter_schema(flow).model_dump()
    defaults = {name: each["default"] for name, each in schema["properties"].items() if "default" in each}

    assert flow.name == "restore-leads"
    assert "schedules" not in RESTORE
    assert schema["required"] == ["backup"]
    assert validate({**defaults, **RESTORE["parameters"], "backup": "s3://bucket/backup"}, schema) == []


def test_all_of_them_share_what_keeps_runs_apart_and_the_key_secret() -> None:
    for name in ("tags", "concurrency_limit", "enforce_parameter_schema", "work_pool"):
        assert RESTORE[name] == OVERVIEW[name] == DEPLOYMENTS[0][name]
    assert RESTORE["parameters"]["dry_run"] is True
