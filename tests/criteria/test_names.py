"""Labels and names become ids; what isn't certain is refused, and nearest names are offered."""

from typing import Any

import pytest

from tasks.close.query.nodes import to_json
from tasks.close.resources import CustomField, LeadStatus, SmartView
from tasks.criteria.names import Names
from tasks.runs.outcomes import Refused

Json = dict[str, Any]
LEADS: Json = {"type": "object_type", "object_type": "lead"}
A: Json = {"type": "id", "value": "lead_a"}
B: Json = {"type": "id", "value": "lead_b"}


def view(view_id: str, name: str, node: Json | None, *, limit: int | None = None, **more: Any) -> SmartView:
    stored: Json | None = None if node is None else {"query": node, "results_limit": limit, "sort": []}
    return SmartView.model_validate({"id": view_id, "name": name, "s_query": stored, **more})


def both(*queries: Json) -> Json:
    return {"type": "and", "queries": list(queries)}


def nested(view_id: str) -> Json:
    return {"type": "saved_search", "saved_search_id": view_id}


NAMES = Names(
    statuses=[
        LeadStatus(id="stat_1", label="Junk"),
        LeadStatus(id="stat_2", label="Bad Fit"),
        LeadStatus(id="stat_3", label="Twice"),
        LeadStatus(id="stat_4", label="Twice"),
    ],
    custom_fields=[
        CustomField(id="cf_1", name="Source", type="text"),
        CustomField(id="cf_2", name="Twice", type="text"),
        CustomField(id="cf_3", name="Twice", type="number"),
    ],
    smart_views=[
        view("save_a", "Only A", both(LEADS, A)),
        view("save_50", "The 50 oldest", A, limit=50),
        view("save_nest", "Nests A", both(LEADS, nested("save_a"))),
        view("save_nest50", "Nests the 50 oldest", both(A, nested("save_50"))),
        view("save_text", "Old words", None, query="*"),
        view("save_mine", "Mine", A, is_user_dependent=True),
        view("save_nestmine", "Nests mine", nested("save_mine")),
        view("save_all", "All Leads", {"type": "match_all", "negate": False}),
        view("save_nestall", "Nests all", both(LEADS, nested("save_all"))),
        view("save_circle", "Circle", nested("save_circle")),
        view("save_lost", "Lost", nested("save_gone")),
        view("save_cont", "People", both({"type": "object_type", "object_type": "contact"}), type="contact"),
        view("save_new", "Near", {"type": "near"}),
        view("save_bad", "Broken", {"type": "and", "queries": []}),
        view("save_search", "A mere search", both(A, both())),
        view("save_t1", "Twice", A),
        view("save_t2", "Twice", B),
    ],
)


def test_labels_and_ids_are_found():
    assert NAMES.status_id("Junk") == NAMES.status_id("stat_1") == "stat_1"
    assert NAMES.custom_field("Source").id == NAMES.custom_field("cf_1").id == "cf_1"
    assert to_json(NAMES.smart_view("Only A")) == to_json(NAMES.smart_view("save_a")) == both(LEADS, A)


def test_unknown_names_are_refused_with_the_nearest():
    """An exemption that names a status which doesn't exist has protected nobody in other tools, without a word."""
    with pytest.raises(Refused, match="There is no lead status 'junk'; did you mean 'Junk'"):
        NAMES.status_id("junk")
    with pytest.raises(Refused, match="There is no lead custom field 'Sorce'; did you mean 'Source'"):
        NAMES.custom_field("Sorce")
    with pytest.raises(Refused, match="There is no Smart View 'Only B'; did you mean 'Only A'"):
        NAMES.smart_view("Only B")
    with pytest.raises(Refused, match="There is no lead status 'Junk'"):
        Names().status_id("Junk")


def test_a_name_that_two_bear_is_refused_but_their_ids_are_not():
    for find in (NAMES.status_id, NAMES.custom_field, NAMES.smart_view):
        with pytest.raises(Refused, match=r"More than one .* is called .Twice.; use an id instead"):
            find("Twice")
    assert NAMES.status_id("stat_4") == "stat_4"
    assert to_json(NAMES.smart_view("save_t2")) == B


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Old words", "legacy text view"),
        ("Mine", "depends on the current user"),
        ("Nests mine", "depends on the current user"),
        ("All Leads", "it matches every lead"),
        ("Nests all", "it matches every lead"),
        ("Circle", "contains itself"),
        ("Lost", "There is no Smart View 'save_gone'"),
        ("People", "contact objects"),
        ("Near", "we don't know what near means"),
        ("Broken", "one of its groups is empty"),
        ("The 50 oldest", "only its first 50"),
        ("Nests the 50 oldest", "only its first 50"),
    ],
)
def test_a_view_whose_meaning_isnt_certain_is_refused(name: str, reason: str):
    with pytest.raises(Refused, match=reason) as caught:
        NAMES.smart_view(name)

    assert "\n" not in str(caught.value)


def test_the_empty_group_that_closes_ui_adds_is_left_out_of_a_view():
    assert to_json(NAMES.smart_view("A mere search")) == both(A)


def test_nested_views_are_put_in_place_also_in_a_pasted_query():
    assert to_json(NAMES.smart_view("Nests A")) == both(LEADS, both(LEADS, A))
    assert to_json(NAMES.pasted("match.s_query", {"query": both(B, nested("save_a"))})) == both(B, both(LEADS, A))


def test_a_keep_view_may_have_a_limit_since_more_leads_are_kept_without_it():
    assert to_json(NAMES.smart_view("The 50 oldest", may_limit=True)) == A


def test_a_nested_view_may_never_have_a_limit():
    """ "Keep what is not among the first 50" would become "keep what is not among any"."""
    with pytest.raises(Refused, match="only its first 50"):
        NAMES.smart_view("Nests the 50 oldest", may_limit=True)
    with pytest.raises(Refused, match="only its first 50"):
        NAMES.pasted("match.s_query", {**nested("save_50"), "negate": True})


def test_advice_names_only_what_can_help():
    """A limit of a nested view is no batch, and a keep rule may never have unknown parts."""
    with pytest.raises(Refused, match=r"first 50 leads; remove the limit, use limits\.batch\.$"):
        NAMES.smart_view("The 50 oldest")
    with pytest.raises(Refused, match=r"first 50 leads; remove the limit in Close\.$"):
        NAMES.smart_view("Nests the 50 oldest")
    with pytest.raises(Refused, match=r"leave it out\.$"):
        NAMES.smart_view("Near", may_limit=True)
    with pytest.raises(Refused, match=r"leave it out \(match\.allow_unknown_nodes sends it anyway\)\.$"):
        NAMES.smart_view("Near", allowed_by="match.allow_unknown_nodes")


def test_views_in_views_without_end_are_a_sentence():
    many = [view(f"save_{number}", f"View {number}", both(A, nested(f"save_{number + 1}"))) for number in range(2_000)]

    with pytest.raises(Refused, match="nested more than 50 levels deep"):
        Names(smart_views=[*many, view("save_2000", "The last", A)]).smart_view("View 0")


def test_unknown_nodes_may_be_sent_on_request():
    assert to_json(NAMES.smart_view("Near", allow_unknown=True)) == {"type": "near"}
