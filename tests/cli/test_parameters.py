"""A deployment's parameters with flags over them: field by field, and nothing lost in silence."""

import inspect
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows.console.cleanups import CHECKOUT
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
    _, notes, _ = build({"keep": {"open_tasks": False, "status": ["Customer"]}}, "mine")

    assert len(notes) == 2
    assert "keep.open_tasks" in notes[0]
    assert "keep.status" in notes[1]


def test_a_flag_that_loosens_a_limit_of_the_deployment_is_said():
    _, notes, _ = build({"limits": {"max_leads": 100_000, "max_share": 1.0, "ramp": False}}, "mine")

    assert notes == [
        "Less careful than its deployment: max leads 100,000 instead of 7 (limits.max_leads).",
        "Less careful than its deployment: max share 1.0 instead of 0.1 (limits.max_share).",
        "Less careful than its deployment: ramp off instead of on (limits.ramp).",
    ]


@pytest.mark.parametrize("approval", ["true", "1", "[always]", "{above: 100}", "sometimes"])
@pytest.mark.parametrize("flag", [None, "never"])
def test_an_approval_in_yaml_that_is_none_is_refused_even_where_a_flag_replaces_it(approval: str, flag: str | None):
    """Whether the flag asks less than the deployment couldn't be told."""
    Path("prefect.yaml").write_text(YAML.replace("sample: 3", f"approval: {approval}"))

    with pytest.raises(Usage, match=r"Cleanup mine: approval: .* is neither never, nor always, nor above and a number"):
        built(approval=flag)


def test_a_setting_that_yaml_leaves_empty_isnt_set():
    Path("prefect.yaml").write_text(YAML.replace("keep: *keep", "keep:").replace("sample: 3", "approval:"))

    parameters, notes, _ = build({"keep": {"open_tasks": True}}, "mine", approval="never")

    assert (parameters.keep.open_tasks, notes) == (True, [])


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
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    parameters = built({"match": {"s_query": {"text": text, "file": "@query.json", "stdin": "-"}[how]}})

    assert parameters.match.s_query == json.loads(text)


MARKS = {"without a mark": "", "with a byte order mark": "\ufeff"}
QUERY = {"type": "text", "mode": "full_words", "value": "M\u00fcller"}


@pytest.mark.parametrize("mark", MARKS.values(), ids=MARKS)
@pytest.mark.parametrize("locale", ["C.UTF-8", "C"])
def test_files_are_utf_8_with_or_without_a_mark_whatever_the_locale_says(mark: str, locale: str):
    """Read as anything else, M\u00fcller protects nobody. A process of its own: Python asks for the locale once."""
    Path("prefect.yaml").write_text(mark + YAML.replace("Partner", "M\u00fcller"), encoding="utf-8")
    Path("query.json").write_text(mark + json.dumps(QUERY, ensure_ascii=False), encoding="utf-8")
    program = (
        "import json; from flows.console.parameters import build;"
        "found = [build({'match': {'s_query': given}}, 'mine')[0] for given in ('@query.json', '-')];"
        "print(json.dumps([[each.keep.status, each.match.s_query] for each in found]))"
    )

    done = subprocess.run(
        [sys.executable, "-X", "utf8=0", "-c", program],
        env={**os.environ, "LC_ALL": locale, "PYTHONCOERCECLOCALE": "0", "PYTHONPATH": str(CHECKOUT)},
        input=Path("query.json").read_bytes(),
        capture_output=True,
        check=True,
    )

    assert json.loads(done.stdout) == [[["Customer", "M\u00fcller"], QUERY]] * 2


def test_a_file_in_another_encoding_is_refused(tmp_path: Path):
    Path("query.json").write_bytes(json.dumps(QUERY, ensure_ascii=False).encode("iso-8859-1"))
    Path("prefect.yaml").write_bytes(YAML.replace("Partner", "M\u00fcller").encode("utf-16"))

    with pytest.raises(Usage, match=r"--match.s-query: the file query.json is not UTF-8 text: save it as UTF-8"):
        build({"match": {"s_query": "@query.json"}}, None)
    with pytest.raises(Usage, match=r"prefect.yaml is not UTF-8 text"):
        built()


@pytest.mark.parametrize(
    ("yaml", "key"),
    [
        (YAML.replace("      sample: 3\n", "      keep: {open_tasks: false}\n"), "'keep' twice, on lines 13 and 16"),
        (YAML.replace("max_leads: 7", "max_leads: 7, max_leads: 900"), "'max_leads' twice, on lines 14 and 14"),
        (YAML.replace("    open_tasks: true\n", "    status: [X]\n"), "'status' twice"),
        (YAML + "deployments: []\n", "'deployments' twice"),
    ],
)
def test_a_key_that_stands_twice_in_yaml_is_refused_by_name(yaml: str, key: str):
    """Of two `keep:` the first would be lost without a word."""
    Path("prefect.yaml").write_text(yaml, encoding="utf-8")

    with pytest.raises(Usage, match=f"prefect.yaml has the key {key}"):
        built()


def test_a_key_that_overrides_a_merged_one_stands_once():
    Path("prefect.yaml").write_text(
        YAML.replace("keep: *keep", "keep: {<<: *keep, open_tasks: false}"), encoding="utf-8"
    )

    assert not built().keep.open_tasks
    assert built().keep.status == ["Customer", "Partner"]


@pytest.mark.parametrize("how", ["text", "file", "stdin"])
def test_a_key_that_stands_twice_in_json_is_refused_by_name(how: str, monkeypatch: pytest.MonkeyPatch):
    """Of two "negate" the first would be lost, and the query would mean the opposite."""
    text = '{"type": "and", "queries": [{"negate": true, "type": "id", "value": "lead_1", "negate": false}]}'
    Path("query.json").write_text(text, encoding="utf-8")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    with pytest.raises(Usage, match=r"--match.s-query.* has the key 'negate' twice in one object"):
        built({"match": {"s_query": {"text": text, "file": "@query.json", "stdin": "-"}[how]}})


def test_the_command_line_and_the_flow_have_the_same_parameters():
    from flows.lead_cleanup import lead_cleanup

    flow = inspect.signature(lead_cleanup.fn).parameters
    ours = Parameters.model_fields

    assert list(ours) == [name for name in flow if name != "cleanup"]
    for name, field in ours.items():
        assert field.is_required() == (flow[name].default is inspect.Parameter.empty), name
        assert field.is_required() or field.default == flow[name].default, name
