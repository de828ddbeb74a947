"""The organisation that every sandbox has: its people, statuses, custom fields, pipeline and Smart Views."""

from __future__ import annotations

from dataclasses import dataclass

from deployments.sandbox.wire.ids import fixed_id
from deployments.sandbox.wire.json_types import Json, JsonObject

ADMIN_PERMISSIONS = ("bulk_edit", "export", "manage_organization", "manage_customizations", "view_all_leads")
USER_PERMISSIONS = ("view_all_leads",)


@dataclass(frozen=True)
class User:
    """A member of an organisation."""

    first_name: str
    last_name: str
    role_id: str

    @property
    def id(self) -> str:
        """``user_…``, the same in every sandbox."""
        return fixed_id("user", self.name)

    @property
    def membership_id(self) -> str:
        """``memb_…``, the same in every sandbox."""
        return fixed_id("memb", self.name)

    @property
    def name(self) -> str:
        """First and last name."""
        return f"{self.first_name} {self.last_name}"

    @property
    def email(self) -> str:
        """An address in a domain that can't exist."""
        return f"{self.first_name.lower()}@sandbox.example"

    @property
    def permissions(self) -> tuple[str, ...]:
        """What the role grants. Close doesn't document one for bulk deletes; here it is ``bulk_edit``."""
        return ADMIN_PERMISSIONS if self.role_id in ("admin", "superuser") else USER_PERMISSIONS


@dataclass(frozen=True)
class Organization:
    """An organisation and its members."""

    name: str
    users: tuple[User, ...]

    @property
    def id(self) -> str:
        """``orga_…``, the same in every sandbox."""
        return fixed_id("orga", self.name)


ADMIN = User("Ada", "Admin", "admin")
USER = User("Uma", "User", "user")
MANAGERS = (User("Max", "Manager", "user"), User("Mia", "Manager", "superuser"))
OTHER_ADMIN = User("Otto", "Other", "admin")

SANDBOX = Organization("Sandbox Inc.", (ADMIN, USER, *MANAGERS))
OTHER = Organization("Another Sandbox Ltd.", (OTHER_ADMIN,))

STATUSES = ("Potential", "Interested", "Qualified", "Customer", "Not Interested", "Bad Fit", "Junk")
STATUS_IDS = {label: fixed_id("stat", label) for label in STATUSES}

PIPELINE_ID = fixed_id("pipe", "Sales")
OPPORTUNITY_STATUSES = {
    fixed_id("stat", f"opportunity {label}"): (label, kind)
    for label, kind in (("Demo Scheduled", "active"), ("Proposal Sent", "active"), ("Won", "won"), ("Lost", "lost"))
}
SEQUENCE_ID = fixed_id("seq", "Welcome")

# The imports the leads came with, oldest first: choices of the field "source".
SOURCES = (
    "Legacy CRM",
    "Trade fair list",
    "Purchased list A",
    "Website form",
    "Partner referrals",
    "Webinar sign-ups",
    "Purchased list B",
    "Outbound research",
)
INDUSTRIES = ("Software", "Manufacturing", "Retail", "Health care", "Logistics", "Education", "Finance")

SOURCE_ID = fixed_id("cf", "source")
INDUSTRY_ID = fixed_id("cf", "industry")
MANAGER_ID = fixed_id("cf", "account manager")
SCORE_ID = fixed_id("cf", "score")


@dataclass(frozen=True)
class CustomField:
    """A custom field of leads."""

    id: str
    name: str
    type: str
    choices: tuple[str, ...] | None = None


CUSTOM_FIELDS = (
    CustomField(SOURCE_ID, "source", "choices", SOURCES),
    CustomField(INDUSTRY_ID, "industry", "choices", INDUSTRIES),
    CustomField(MANAGER_ID, "account manager", "user"),
    CustomField(SCORE_ID, "score", "number"),
)


@dataclass(frozen=True)
class SmartView:
    """A saved search: an `s_query` with its wrapper, or a legacy text `query`."""

    name: str
    s_query: JsonObject | None
    query: str | None = None
    type: str = "lead"
    is_user_dependent: bool = False
    key: str = ""

    @property
    def id(self) -> str:
        """``save_…``, the same in every sandbox; *key* distinguishes views of the same name."""
        return fixed_id("save", self.key or self.name)


def _field(name: str, object_type: str = "lead") -> JsonObject:
    return {"type": "regular_field", "object_type": object_type, "field_name": name}


def _condition(field: JsonObject, condition: JsonObject, negate: bool = False) -> JsonObject:
    return {"negate": negate, "type": "field_condition", "field": field, "condition": condition}


def _status(*labels: str) -> JsonObject:
    ids: list[Json] = [STATUS_IDS[label] for label in labels]
    return _condition(_field("status_id"), {"type": "reference", "reference_type": "status.lead", "object_ids": ids})


def _view(*nodes: JsonObject, object_type: str = "lead", limit: int | None = None, sort: Json = None) -> JsonObject:
    """A query as Close's user interface writes it: the object type, then one group with the conditions."""
    query: JsonObject = {
        "negate": False,
        "type": "and",
        "queries": [
            {"negate": False, "type": "object_type", "object_type": object_type},
            {"negate": False, "type": "and", "queries": [*nodes]},
        ],
    }
    return {"query": query, "results_limit": limit, "sort": [] if sort is None else sort}


def _related(this: str, related: str, *nodes: JsonObject, negate: bool = False) -> JsonObject:
    return {
        "negate": negate,
        "type": "has_related",
        "this_object_type": this,
        "related_object_type": related,
        "related_query": {"negate": False, "type": "and", "queries": [*nodes]},
    }


def _months_ago(months: int) -> JsonObject:
    offset: JsonObject = {"years": 0, "months": months, "weeks": 0, "days": 0, "hours": 0, "minutes": 0, "seconds": 0}
    return {
        "type": "offset",
        "direction": "past",
        "moment": {"type": "now"},
        "offset": offset,
        "which_day_end": "start",
    }


_STALE = SmartView(
    "Stale prospects",
    _view(
        _status("Potential", "Not Interested"),
        _condition(_field("last_communication_date"), {"type": "moment_range", "before": _months_ago(12)}),
    ),
)
_WON: JsonObject = _condition(_field("status_type", "opportunity"), {"type": "term", "values": ["won"]})
_FOLLOW_UP = _view(_condition(_field("num_incomplete_tasks"), {"type": "number_range", "gte": 1}))

SMART_VIEWS = (
    SmartView("All Leads", {"query": {"type": "match_all", "negate": False}, "results_limit": None, "sort": []}),
    SmartView(
        "My leads",
        _view(_condition({"type": "custom_field", "custom_field_id": MANAGER_ID}, {"type": "current_user"})),
        is_user_dependent=True,
    ),
    SmartView("Untouched leads (old search)", None, query='lead_status:"Potential" sort:created'),
    _STALE,
    SmartView(
        "Never delete",
        _view({"negate": False, "type": "or", "queries": [_status("Customer"), _related("lead", "opportunity", _WON)]}),
    ),
    SmartView(
        "Fifty oldest junk leads",
        _view(_status("Junk"), limit=50, sort=[{"direction": "asc", "field": _field("date_created")}]),
    ),
    SmartView(
        "Stale prospects without contacts",
        _view(
            {"negate": False, "type": "saved_search", "saved_search_id": _STALE.id},
            _related("lead", "contact", {"negate": False, "type": "match_all"}, negate=True),
        ),
    ),
    SmartView(
        "Contacts without e-mail",
        _view(
            _related("contact", "contact_email", {"negate": False, "type": "match_all"}, negate=True),
            object_type="contact",
        ),
        type="contact",
    ),
    # Two views of the same name, which Close allows.
    SmartView("Follow up", _FOLLOW_UP),
    SmartView("Follow up", _FOLLOW_UP, key="Follow up, the second"),
)
