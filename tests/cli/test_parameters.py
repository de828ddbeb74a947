"""A deployment's parameters with flags over them: field by field, and nothing lost in silence."""

import inspect
import io
import json
from pathlib import Path

import pytest

from flows.console.flags import Given
from flows.console.parameters import Parameters, build
from flows.console.terminal import Usage

YAML = """
definitions:
  keep: &keep
    open_tasks: true
    status: [Customer, Partner]
  shared: &shared
    entrypoint: flows/lead_cleanup.py:lead_cleanup
deployments:
  - <<: *shared
    name: mine
    parameters:
      match: {status: [Junk], inactive_months: 6}
      keep: *keep
      limits: {max_leads: 7}
      time_zone: Europe/Berlin
      sample: 3
      dry_run: false
  - name: of-another-flow
    entrypoint: other.py:other
"""


@pytest.fixture(autouse=True)
def deployed_here() -> None:
    """The current folder has cleanups of its own."""
    Path("prefect.yaml").write_text(YAML)


def built(given: Given | None = None, cleanup: str | None = "mine", **options: object) -> Parameters:
    return build(given or {}, cleanup, **options)[0]


def test_a_deployment_alone_gives_its_parameters_with_anchors_and_merge_keys():
    parameters = built()

    assert parameters.match.status == ["Junk"]
    assert parameters.keep.open_tasks
    assert parameters.keep.won_opportunities, "a rule that the deployment doesn't name keeps its default"
    assert (parameters.limits.max_leads, parameters.time_zone, parameters.sample) == (7, "Europe/Berlin", 3)


def test_a_flag_replaces_its_field_and_no_other():
    parameters = built({"match": {"inactive_months": 24}, "limits": {"max_share": 0.5}})

    assert parameters.match.inactive_months == 24
    assert parameters.match.status == ["Junk"]
    assert (parameters.limits.max_leads, parameters.limits.max_share) == (7, 0.5)


def test_a_list_replaces_the_list():
    assert built({"match": {"status": ["Bad Fit"]}}).match.status == ["Bad Fit"]


def test_a_rule_can_be_turned_off():
    parameters = built({"match": {"inactive_months": None}, "keep": {"created_within_days": None, "status": []}})

    assert parameters.match.inactive_months is None
    assert parameters.keep.created_within_days is None
    assert parameters.keep.status is None


def test_a_flag_that_weakens_a_keep_rule_of_the_deployment_is_said():
    _, notes = build({"keep": {"open_tasks": False, "status": ["Customer"]}}, "mine")

    assert len(notes) == 2
    assert "keep.open_tasks" in notes[0]
    assert "keep.status" in notes[1]


def test_a_deployment_never_turns_the_dry_run_off():
    """Deleting from the shell takes --no-dry-run, whatever the schedule does."""
    assert built().dry_run
    assert not built(dry_run=False).dry_run


def test_only_deployments_of_this_flow_are_cleanups():
    with pytest.raises(Usage, match="There is no cleanup 'of-another-flow'"):
        built(cleanup="of-another-flow")


def test_elsewhere_the_cleanups_of_the_checkout_are_known():
    Path("prefect.yaml").unlink()

    assert built(cleanup="junk").match.status == ["Junk"]


@pytest.mark.parametrize("how", ["text", "file", "stdin"])
def test_a_query_is_given_as_text_in_a_file_or_on_stdin(how: str, monkeypatch: pytest.MonkeyPatch):
    query = {"type": "field_condition", "field": {"type": "custom_field", "custom_field_id": "cf_1"}}
    text = json.dumps({**query, "condition": {"type": "exists"}})
    Path("query.json").write_text(text)
    monkeypatch.setattr("sys.stdin", io.StringIO(text))

    parameters = built({"match": {"s_query": {"text": text, "file": "@query.json", "stdin": "-"}[how]}})

    assert parameters.match.s_query == json.loads(text)


def test_the_command_line_and_the_flow_have_the_same_parameters():
    from flows.lead_cleanup import lead_cleanup

    flow = inspect.signature(lead_cleanup.fn).parameters
    ours = Parameters.model_fields

    assert [*ours, "cleanup"] == list(flow)
    for name, field in ours.items():
        assert field.is_required() == (flow[name].default is inspect.Parameter.empty), name
        assert field.is_required() or field.default == flow[name].default, name
