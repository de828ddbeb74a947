"""Names of lead fields, to help with one that Close doesn't know. Close itself decides which there are."""

from collections.abc import Iterable, Mapping
from typing import Any, cast

from tasks.wording import did_you_mean

LEAD_FIELDS = (
    *("name", "display_name", "description", "url", "status_id", "created_by", "updated_by"),
    *("date_created", "date_updated", "addresses_count", "all_urls_count"),
    *("last_communication_date", "first_communication_date", "last_activity_date", "last_lead_status_change_date"),
    *("last_call_date", "last_email_date", "last_note_date", "last_sms_date", "next_task_date", "times_communicated"),
    *("num_contacts", "num_emails", "num_calls", "num_sms", "num_notes", "num_tasks", "num_incomplete_tasks"),
    *("num_meetings", "num_upcoming_meetings", "num_opportunities", "num_active_opportunities"),
    *("num_won_opportunities", "num_lost_opportunities", "num_email_addresses", "num_phone_numbers"),
)
"""Those that Close documents or writes into its exports and that a cleanup is likely to use; not all there are."""


def unknown_field(query: Mapping[str, Any], rejected: Iterable[str]) -> str | None:
    """A sentence on the field of *query* that Close rejects, where one of the *rejected* paths leads to its name."""
    for path in rejected:
        name = _at(query, path.removeprefix("query.").split("."))
        if path.endswith("field_name") and isinstance(name, str):
            return f"There is no field {name!r}{did_you_mean(name, LEAD_FIELDS) or '.'}"
    return None


def _at(document: object, steps: list[str]) -> object:
    for step in steps:
        if isinstance(document, Mapping):
            document = cast("Mapping[str, object]", document).get(step)
        elif isinstance(document, list) and step.isdigit() and int(step) < len(cast("list[object]", document)):
            document = cast("list[object]", document)[int(step)]
        else:
            return None
    return document
