"""From criteria to queries: the query of each rule of `Match` and `Keep`.

Relative times become instants, computed from the cut-off. "Missing" is spelled out. Rules that are on by default use
only fields seen in working queries; the others are in Close's documentation or its exports, and ``lead-cleanup doctor``
shows which of them an organisation accepts.
"""

import math
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from dateutil.relativedelta import relativedelta

from tasks.close.problems import quoted
from tasks.close.query.conditions import (
    CustomFieldRef,
    Exists,
    NumberRange,
    Reference,
    RegularField,
    Term,
    TextCondition,
)
from tasks.close.query.freeze import FieldTypes, freeze
from tasks.close.query.nodes import Id, Query, all_of, any_of, before, empty, has, lead_field, on_or_after, where
from tasks.close.query.rewrite import UnusableQuery, always, conditions_only
from tasks.close.resources import CustomField
from tasks.criteria.names import Names
from tasks.criteria.policy import ALLOWS_UNKNOWN, Keep, Match
from tasks.criteria.spelling import as_mail_sends_it, one_form
from tasks.criteria.wording import did_you_mean
from tasks.runs.outcomes import Refused

CREATED = lead_field("date_created")
UPDATED = lead_field("date_updated")
NEVER_DELETE = "never_delete"
"""The keep rule of the organisation's own Smart View, which always applies."""
LAST_COMMUNICATION = lead_field("last_communication_date")


def match_clauses(match: Match, names: Names, as_of: datetime, zone: ZoneInfo) -> list[Query]:
    """What every matched lead must meet: one clause for each criterion of *match* that is set."""
    clauses = list(_typed_clauses(match, names, as_of))
    unknown: Any = {"allow_unknown": match.allow_unknown_nodes, "allowed_by": ALLOWS_UNKNOWN}
    if match.smart_view:
        view = names.smart_view(match.smart_view, **unknown)
        clauses.append(_frozen("match.smart_view", view, as_of, zone, names.field_types))
    if match.s_query:
        pasted = names.pasted("match.s_query", match.s_query, **unknown)
        clauses.append(_frozen("match.s_query", pasted, as_of, zone, names.field_types))
    return clauses


def _typed_clauses(match: Match, names: Names, as_of: datetime) -> Iterator[Query]:
    if match.status:
        yield in_status(match.status, names)
    if match.inactive_months:
        instant = as_of - relativedelta(months=match.inactive_months)
        silent = all_of([empty(LAST_COMMUNICATION), before(CREATED, instant)])
        yield any_of([before(LAST_COMMUNICATION, instant), silent])
    if match.never_communicated:
        yield empty(LAST_COMMUNICATION)
    if match.created_before_months:
        yield before(CREATED, as_of - relativedelta(months=match.created_before_months))
    if match.without_contacts:
        contact = where(RegularField(object_type="contact", field_name="date_created"), Exists())
        yield has("contact", contact).model_copy(update={"negate": True})
    if match.unreachable:
        ways = any_of([_has_value("contact_email", "email"), _has_value("contact_phone", "phone")])
        yield has("contact", ways).model_copy(update={"negate": True})
    if match.name_words:
        words = [TextCondition(mode="full_words", value=word) for word in match.name_words]
        yield any_of([where(lead_field("name"), word) for word in words])
    if match.email_domains:
        yield at_domains(match.email_domains)
    for name, values in (match.custom_fields or {}).items():
        yield custom_field_is(names.custom_field(name), values)


def keep_rules(keep: Keep, names: Names, as_of: datetime, zone: ZoneInfo) -> dict[str, Query]:
    """What protects a lead, by the name of the rule, including the organisation's own never-delete Smart View."""
    rules = dict(_typed_rules(keep, names, as_of))
    if keep.smart_view:
        rules["smart_view"] = names.smart_view(keep.smart_view, may_limit=True)
    if keep.s_query:
        rules["s_query"] = names.pasted("keep.s_query", keep.s_query)
    if names.keep_view:
        rules[NEVER_DELETE] = _never_delete(names, names.keep_view)
    frozen = {name: _frozen(setting(name), query, as_of, zone, names.field_types) for name, query in rules.items()}
    return {name: _protecting(name, query) for name, query in frozen.items()}


def _typed_rules(keep: Keep, names: Names, as_of: datetime) -> Iterator[tuple[str, Query]]:
    if keep.open_opportunities:
        yield "open_opportunities", has_opportunity("active")
    if keep.won_opportunities:
        yield "won_opportunities", has_opportunity("won")
    if keep.upcoming_meetings:
        yield "upcoming_meetings", where(lead_field("num_upcoming_meetings"), NumberRange(gt=0))
    if keep.running_workflows:
        status = RegularField(object_type="sequence_subscription", field_name="status")
        yield "running_workflows", has("sequence_subscription", where(status, Term(values=("active", "paused"))))
    if keep.created_within_days:
        yield "created_within_days", on_or_after(CREATED, as_of - timedelta(days=keep.created_within_days))
    if keep.communication_within_days:
        instant = as_of - timedelta(days=keep.communication_within_days)
        yield "communication_within_days", on_or_after(LAST_COMMUNICATION, instant)
    if keep.open_tasks:
        yield "open_tasks", where(lead_field("num_incomplete_tasks"), NumberRange(gt=0))
    if keep.status:
        yield "status", in_status(keep.status, names)
    if keep.lead_ids:
        yield "lead_ids", any_of([Id(value=lead_id) for lead_id in keep.lead_ids])
    if keep.email_domains:
        yield "email_domains", at_domains(keep.email_domains)
    if keep.custom_fields:
        fields = keep.custom_fields.items()
        yield "custom_fields", any_of([custom_field_is(names.custom_field(name), values) for name, values in fields])


def _frozen(where: str, query: Query, as_of: datetime, zone: ZoneInfo, types: FieldTypes) -> Query:
    try:
        return freeze(query, as_of, zone, types)
    except UnusableQuery as error:
        raise Refused(f"{where} can't be used: {error}.") from None


def _never_delete(names: Names, view: str) -> Query:
    try:
        return names.smart_view(view, may_limit=True)
    except Refused as refusal:
        raise Refused(f"CLOSE_KEEP_SMART_VIEW: {refusal.message}") from None


def setting(rule: str) -> str:
    """Where the keep rule of this name is set."""
    return "CLOSE_KEEP_SMART_VIEW" if rule == NEVER_DELETE else f"keep.{rule}"


def _protecting(name: str, query: Query) -> Query:
    if always(query) is False:
        raise Refused(f"{setting(name)} can't protect any lead; correct it, or turn it off.")
    conditions = conditions_only(query)
    if conditions is None:
        raise Refused(f"{setting(name)} protects every lead; there is nothing left to clean up.")
    return conditions


# --- single conditions ------------------------------------------------------------------------------------------------


def in_status(labels: list[str], names: Names) -> Query:
    """The lead has one of the statuses."""
    ids = tuple(names.status_id(label) for label in labels)
    return where(lead_field("status_id"), Reference(reference_type="status.lead", object_ids=ids))


def has_opportunity(status_type: str) -> Query:
    """The lead has an opportunity whose status is of the type ``active``, ``won`` or ``lost``."""
    field = RegularField(object_type="opportunity", field_name="status_type")
    return has("opportunity", where(field, Term(values=(status_type,))))


def at_domains(domains: list[str]) -> Query:
    """A contact has an e-mail address at one of the domains, as Close splits words; `reading` checks them."""
    field = RegularField(object_type="contact_email", field_name="email")
    spellings = [each for domain in domains for each in dict.fromkeys((domain, as_mail_sends_it(domain)))]
    any_domain = any_of([where(field, TextCondition(mode="full_words", value=each)) for each in spellings])
    return has("contact", has("contact_email", any_domain, this="contact"))


def custom_field_is(field: CustomField, values: list[str | int | float | bool]) -> Query:
    """The custom field has one of *values*, compared by its type. Raises `Refused` for values of another type."""
    reference, named = CustomFieldRef(custom_field_id=field.id), f"The custom field {field.name!r}"
    match field.type:
        case "choices":
            choices = values if field.choices is None else [_choice(value, field.choices, named) for value in values]
            return where(reference, Term(values=tuple(choices)))
        case "text" | "textarea" | "hidden":
            for value in values:
                if not isinstance(value, str):  # YAML has changed an unquoted yes, 1.10 or 0123
                    raise Refused(f"{named} holds text; put {quoted(value)} in quotes, as Close shows it.")
            texts = [TextCondition(mode="exact_value", value=str(value).strip()) for value in values]
            return any_of([where(reference, text) for text in texts])
        case "number":
            return any_of([where(reference, _equal_to(value, named)) for value in values])
        case "user":
            for value in values:
                if not str(value).strip().startswith("user_"):  # Close finds no name, so none would be protected
                    raise Refused(f"{named} holds users; use their ids (user_…), not {quoted(value)}.")
            ids = tuple(str(value).strip() for value in values)
            return where(reference, Reference(reference_type="user", object_ids=ids))
        case _:
            raise Refused(f"{named} is of the type {field.type}, which custom_fields can't compare; use s_query.")


def _choice(value: str | float, choices: Sequence[str], named: str) -> str:
    """The choice that *value* means, in Close's own spelling."""
    found = [each for each in choices if each == value] or [
        each for each in choices if one_form(each) == one_form(str(value))
    ]
    if not found:
        raise Refused(f"{named} has no choice {quoted(value)}{did_you_mean(str(value), choices)}")
    if len(found) > 1:
        spellings = ", ".join(map(repr, found))
        raise Refused(f"{named} has several choices {quoted(value)}; write one exactly as it is: {spellings}.")
    return found[0]


def _equal_to(value: str | float, named: str) -> NumberRange:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise Refused(f"{named} holds numbers; {quoted(value)} is not a number.")
    return NumberRange(gte=number, lte=number)


def _has_value(related: str, name: str) -> Query:
    return has(related, where(RegularField(object_type=related, field_name=name), Exists()), this="contact")
