"""What a cleanup may delete: `Match`, `Keep` and `Limits`.

These models are the form in the Prefect UI, the parameters in ``prefect.yaml``, the flags of the command line and the
record of a run. They are flat on purpose, and reject unknown names: a misspelt rule that is silently ignored deletes
leads that it should have protected.
"""

import math
import re
from typing import Annotated, Any, Self, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    StrictBool,
    StrictFloat,
    StrictInt,
    StringConstraints,
    model_serializer,
    model_validator,
)
from pydantic.json_schema import SkipJsonSchema

from tasks.close.ids import LeadId
from tasks.close.problems import quoted
from tasks.criteria.spelling import domain_of, one_form
from tasks.criteria.wording import did_you_mean

APPROVAL = r"^(never|always|above \d{1,9})$"
ALLOWS_UNKNOWN = "match.allow_unknown_nodes"
LARGEST_BATCH = 9_999  # Close ends a search after 10,000 leads, and the one after the batch marks its end


def _one_word(text: str) -> str:
    text = one_form(text)
    if re.fullmatch(r"\w+", text) is None:
        raise ValueError(f"{quoted(text)} is not one word: list each word separately, with letters and digits only")
    return text.lower()


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("it is empty; write what you mean, or leave it out")
    return text


def _time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a folder of zones, such as Europe
        raise ValueError(f"{quoted(name)} is not a time zone such as Europe/Berlin") from None
    return name


def _approval(setting: object) -> object:
    if not isinstance(setting, str) or re.fullmatch(APPROVAL, setting) is None:
        raise ValueError(
            f"{quoted(setting)} is neither never, nor always, nor above and a number of leads, as in 'above 100'"
        )
    return setting


def _values(value: object) -> object:
    """One value means a list of one."""
    return cast("object", value) if isinstance(value, list) else [value]


Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Statuses = Annotated[list[Name], Field(min_length=1)]
Words = Annotated[list[Annotated[Name, AfterValidator(_one_word)]], Field(min_length=1)]
Domains = Annotated[list[Annotated[Name, AfterValidator(domain_of)]], Field(min_length=1)]
LeadIds = Annotated[list[LeadId], Field(min_length=1)]
Exactly = Annotated[str, AfterValidator(_not_blank)]  # a choice's own name may end in a blank
CustomValue = Exactly | StrictInt | StrictFloat | StrictBool
CustomValues = Annotated[list[CustomValue], Field(min_length=1), BeforeValidator(_values)]
CustomFields = Annotated[dict[Name, CustomValues], Field(min_length=1)]
Months = Annotated[StrictInt, Field(ge=1, le=600)]
# The form restores an emptied default, so 0 turns it off.
Days = Annotated[StrictInt, Field(ge=0, le=20_000), AfterValidator(lambda days: days or None)]

Unset = SkipJsonSchema[None]
"""None, absent from the schema."""

# The flow's parameters that aren't models; here, so that the flow and the command line agree. A pattern is in the
# schema only if it stands before a BeforeValidator.
Expected = Annotated[StrictInt, Field(ge=0)] | Unset
Switch = StrictBool  # the text "false" would count as true
Sample = Annotated[StrictInt, Field(ge=0, le=100)]
Approval = Annotated[str, Field(pattern=APPROVAL), BeforeValidator(_approval)]
TimeZone = Annotated[str, AfterValidator(_time_zone)]
CleanupName = Annotated[Name, StringConstraints(max_length=100)] | Unset  # it is kept in Prefect Variables


def most_without_approval(approval: str) -> float:
    """How many leads a run may delete without an approval, by the setting *approval*."""
    match approval.split():
        case ["never"]:
            return math.inf
        case ["above", number]:
            return int(number)
        case _:
            return 0


def _drop_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


def _optional(title: str, description: str) -> Any:
    """A field without a default in the schema, so that the form shows an empty input."""
    return Field(default=None, title=title, description=description, json_schema_extra=_drop_default)


def _switch(title: str, description: str, *, on: bool = False) -> Any:
    return Field(default=on, title=title, description=description)


class Policy(BaseModel):
    """The base of `Match`, `Keep` and `Limits`: frozen, and strict about names."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _known_and_set(cls, data: object) -> object:
        """Reject unknown names, and true where a number is expected, as it would count as 1. False means not set."""
        if not isinstance(data, dict):
            return data
        given: dict[str, object] = {}
        for name, value in cast("dict[str, object]", data).items():
            if name not in cls.model_fields:
                raise ValueError(f"there is no setting {quoted(name)}{did_you_mean(str(name), cls.model_fields)}")
            field = cls.model_fields[name]
            if field.annotation is bool and value is None:
                continue
            if field.annotation is not bool and value is True:
                raise ValueError(f"{name}: true is not a value for it; write the value you mean")
            given[name] = None if field.annotation is not bool and value is False else value
        return given

    @model_serializer(mode="wrap")
    def _set_only(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out unset fields, so that the form's defaults and the stored parameters have no nulls.

        A default that was turned off stays as null: without it, the default would return.
        """
        fields = type(self).model_fields
        return {
            name: value for name, value in write(self).items() if value is not None or fields[name].default is not None
        }


class Match(Policy):
    """What a lead must meet to be deleted: all that you set. At least one is needed."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    status: Statuses | Unset = _optional("Lead status", "Any of these lead statuses: labels or ids.")
    inactive_months: Months | Unset = _optional(
        "No communication for … months",
        "The last communication is at least this many months ago; or there was none, and the lead is at least as old.",
    )
    created_before_months: Months | Unset = _optional(
        "Created at least … months ago", "The lead was created at least this many months ago."
    )
    never_communicated: bool = _switch("Never communicated", "There has never been any communication.")
    without_contacts: bool = _switch("Without contacts", "The lead has no contact.")
    unreachable: bool = _switch(
        "Unreachable", "No contact has an e-mail address or a phone number, or there is no contact."
    )
    name_words: Words | Unset = _optional(
        "Words in the name", "Any of these words occurs in the lead's name, as a whole word: test never means Testudo."
    )
    email_domains: Domains | Unset = _optional(
        "E-mail domains", "Any contact has an e-mail address at one of these domains, such as example.com."
    )
    smart_view: Name | Unset = _optional(
        "Smart View", "Name or id of a Smart View for leads. Close's legacy text views can't be used."
    )
    custom_fields: CustomFields | Unset = _optional(
        "Custom fields", 'Each of these custom fields has one of its values: {"Source": ["Import 2021"]}.'
    )
    s_query: dict[str, Any] | Unset = _optional(
        "Query", "Advanced Filtering JSON, as copied from Close with Copy Filters, or a bare query node."
    )
    allow_unknown_nodes: bool = _switch(
        "Allow unknown query nodes", "Send parts of a query that this project doesn't know, as they are."
    )

    @model_validator(mode="after")
    def _criteria(self) -> Self:
        criteria = self.model_dump(exclude={"allow_unknown_nodes"}, exclude_defaults=True)
        if not criteria:
            raise ValueError("set at least one criterion, for example status or inactive_months")
        if self.s_query is not None:
            limit = _check_pasted(self.s_query, allow_unknown=self.allow_unknown_nodes, allowed_by=ALLOWS_UNKNOWN)
            if limit is not None:
                raise ValueError(
                    f"s_query: its results_limit of {limit} would be ignored; remove it, and use limits.batch"
                )
        return self


class Keep(Policy):
    """What protects a lead. Any one is enough."""

    open_opportunities: bool = _switch("Open opportunities", "The lead has an active opportunity.", on=True)
    won_opportunities: bool = _switch("Won opportunities", "The lead has a won opportunity.", on=True)
    upcoming_meetings: bool = _switch("Upcoming meetings", "The lead has a meeting ahead.", on=True)
    running_workflows: bool = _switch("Running workflows", "The lead is in a running workflow (sequence).", on=True)
    created_within_days: Days | Unset = Field(
        default=30,
        title="Created within the last … days",
        description="The lead was created within this many days; 0 for off.",
    )
    communication_within_days: Days | Unset = Field(
        default=30,
        title="Communication within the last … days",
        description="There was communication within this many days; 0 for off.",
    )
    open_tasks: bool = _switch("Open tasks", "The lead has an incomplete task.")
    status: Statuses | Unset = _optional("Lead status", "Any of these lead statuses: labels or ids.")
    email_domains: Domains | Unset = _optional(
        "E-mail domains", "Any contact has an e-mail address at one of these domains."
    )
    smart_view: Name | Unset = _optional("Smart View", "Name or id of a Smart View for leads.")
    custom_fields: CustomFields | Unset = _optional(
        "Custom fields", "Any of these custom fields has one of its values."
    )
    lead_ids: LeadIds | Unset = _optional("Lead ids", "Exactly these leads.")
    s_query: dict[str, Any] | Unset = _optional("Query", "Advanced Filtering JSON.")

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if self.s_query is not None:
            _check_pasted(self.s_query)
        return self


class Limits(Policy):
    """How much a run may do. `max_leads` and `max_share` stop it; with `batch` and `ramp` it plans the oldest leads."""

    max_leads: StrictInt = Field(default=500, ge=1, title="Most leads", description="Stop if more leads are planned.")
    max_share: StrictFloat = Field(
        default=0.1,
        gt=0,
        le=1,
        title="Largest share of all leads",
        description="Stop if more than this share is planned; 0.05 means 5 %. Not for plans of 20 leads or fewer.",
    )
    batch: Annotated[StrictInt, Field(ge=1, le=LARGEST_BATCH)] | Unset = _optional(
        "Batch", "Plan only the oldest leads, at most this many; the next run continues."
    )
    ramp: bool = Field(
        default=True,
        title="Start small",
        description="Until a cleanup has deleted once, plan its 50 oldest leads; until it has twice, its 500 oldest.",
    )
    max_wait_minutes: StrictInt = Field(
        default=360,
        ge=1,
        le=30 * 24 * 60,
        title="Longest wait, in minutes",
        description="Minutes to wait for Close to finish; after that the run ends as still running.",
    )
    max_late_hours: StrictInt = Field(
        default=4,
        ge=1,
        le=30 * 24,
        title="Latest start, in hours",
        description="Skip a run that starts more than this many hours after it was due, as after an outage.",
    )


def _check_pasted(document: dict[str, Any], *, allow_unknown: bool = False, allowed_by: str = "") -> int | None:
    """Return the ``results_limit`` of a pasted query. Raises ValueError, in one sentence, if it can't be used."""
    # Imported here, since the query language has many models: the help of `lead-cleanup run` needs none of them.
    from tasks.close.query.check import check
    from tasks.close.query.paste import unwrap
    from tasks.close.query.rewrite import UnusableQuery

    try:
        query, limit = unwrap(document)
        check(query, allow_unknown=allow_unknown, allowed_by=allowed_by)
    except UnusableQuery as error:
        raise ValueError(f"s_query: {error}") from None
    return limit
