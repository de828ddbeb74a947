"""From a lead as Close exported it to the objects to create, so that Close has it again. Pure.

Only fields that are named here are ever sent. What can't be restored is counted in the `IdMapping`; see `LOST` too.
"""

import html
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from tasks.close.resources import Kind
from tasks.restore.id_mapping import CUSTOM, IdMapping, Object

LEAD = ("name", "description", "url", "date_created")
ADDRESS = ("label", "address_1", "address_2", "city", "state", "zipcode", "country")
CONTACT = ("name", "title", "date_created")
REACHABLE = {"emails": ("email", "type"), "phones": ("phone", "type"), "urls": ("url", "type")}
OPPORTUNITY = ("value", "value_period", "confidence", "note", "date_won", "date_created")
TASK = ("_type", "text", "date", "is_complete", "date_created")
NOTE = ("note", "note_html", "title", "pinned", "activity_at", "date_created")
CALL = ("note", "note_html", "direction", "duration", "phone", "activity_at", "date_created")
SMS = ("text", "direction", "local_phone", "remote_phone", "activity_at", "date_created")

TASK_TYPES = {"lead", "outgoing_call"}
"""Close documents that tasks of other types can't be created."""
CALLS_OVER = {"completed", "cancel", "no-answer", "busy", "failed", "timeout"}
SAFE_SMS = {"inbox", "sent", "draft"}
"""Close documents that these log or keep an SMS; `outbox` and `scheduled` send it."""
SENDING = {"send_in", "date_scheduled", "send_to_inbox", "template_id"}
"""Fields that have Close send something, or tell somebody of it."""
ACTIVITIES: Mapping[str, Kind] = {"Note": "note", "Call": "call", "SMS": "sms"}

LOST = (
    "all ids, and with them the addresses of pages in Close.",
    "who created and last updated each object, and when: Close now names the user of this API key.",
    "the history of statuses, and the date on which an opportunity was lost.",
    "e-mail threads, which Close syncs again from a mailbox that is still connected.",
    "completed tasks and everything else that Close leaves out of an export; links of integrations.",
)
"""What no restore brings back. What depends on the backup, such as attachments, is counted besides."""


@dataclass(frozen=True)
class NewObject:
    """An object to create that belongs to a lead: what to send, but for the ids that only the new lead will have."""

    kind: Kind
    old_id: str
    body: Object
    contact_id: str | None = None
    """The id, in the backup, of the contact that it belongs to."""

    def to_send(self, lead_id: str, contacts: Mapping[str, str]) -> dict[str, Any]:
        """Return the body of the POST for the new lead. *contacts* maps ids in the backup to the new contacts' ids."""
        contact = contacts.get(self.contact_id) if self.contact_id else None
        return {**self.body, "lead_id": lead_id, **({"contact_id": contact} if contact else {})}


@dataclass(frozen=True)
class NewLead:
    """A lead to create: its body with contacts and addresses, which Close takes in one request, and its objects."""

    old_id: str
    body: Object
    contacts: Sequence[Object]
    """As in the backup."""
    objects: Sequence[NewObject]

    def counts(self) -> Counter[str]:
        """Return how many objects there are of each kind."""
        return Counter({"lead": 1, "contact": len(self.contacts)}) + Counter[str](each.kind for each in self.objects)


def new_lead(lead: Object, mapping: IdMapping) -> NewLead:
    """Return what to create for *lead*, with the ids that the organisation has now."""
    contacts = _items(lead, "contacts")
    body = _pick(lead, LEAD) | mapping.custom("lead", lead)
    if status := mapping.lead_status(lead):
        body["status_id"] = status
    if addresses := [_pick(each, ADDRESS) for each in _items(lead, "addresses")]:
        body["addresses"] = addresses
    if contacts:
        body["contacts"] = [_contact(each, mapping) for each in contacts]
    objects = [*_opportunities(lead, mapping), *_tasks(lead, mapping), *_activities(lead, mapping)]
    return NewLead(str(lead["id"]), body, contacts, objects)


def _contact(contact: Object, mapping: IdMapping) -> dict[str, Any]:
    reachable = {
        many: [_pick(each, keys) for each in _items(contact, many)]
        for many, keys in REACHABLE.items()
        if contact.get(many)
    }
    return _pick(contact, CONTACT) | reachable | mapping.custom("contact", contact)


def _opportunities(lead: Object, mapping: IdMapping) -> Iterator[NewObject]:
    for each in _items(lead, "opportunities"):
        body = _pick(each, OPPORTUNITY) | mapping.custom("opportunity", each)
        body |= _if_known("status_id", mapping.opportunity_status(each))
        body |= _if_known("user_id", mapping.user(each.get("user_id"), each.get("user_name")))
        _count_attachments(each, mapping)
        yield _new_object("opportunity", each, body)


def _tasks(lead: Object, mapping: IdMapping) -> Iterator[NewObject]:
    for each in _items(lead, "tasks"):
        if each.get("_type", "lead") not in TASK_TYPES:
            mapping.lost["tasks that only Close makes"] += 1
            continue
        assigned_to = mapping.user(each.get("assigned_to"), each.get("assigned_to_name"))
        body = {"_type": "lead", **_pick(each, TASK)} | _if_known("assigned_to", assigned_to)
        yield _new_object("task", each, body)


def _activities(lead: Object, mapping: IdMapping) -> Iterator[NewObject]:
    for each in _items(lead, "activities"):
        name = str(each.get("_type", ""))
        kind = ACTIVITIES.get(name)
        if kind is None:
            mapping.lost[f"activities of type {name}"] += 1
            continue
        body = {"note": _note, "call": _call, "sms": _sms}[kind](each, mapping)
        body |= _if_known("user_id", mapping.user(each.get("user_id"), each.get("user_name")))
        if any(key.startswith(CUSTOM) for key in each):
            mapping.lost["custom fields of activities"] += 1
        _count_attachments(each, mapping)
        yield _new_object(kind, each, body)


def _note(note: Object, _: IdMapping) -> dict[str, Any]:
    return _rich(note, NOTE)


def _call(call: Object, mapping: IdMapping) -> dict[str, Any]:
    """Make it an external call, which Close neither dials nor bills. A call that wasn't over becomes completed."""
    for what in ("recording_url", "voicemail_url"):
        if call.get(what):
            mapping.lost["recordings of calls"] += 1
    if call.get("outcome_id"):
        mapping.lost["outcomes of calls"] += 1
    status = call.get("status")
    return _rich(call, CALL) | _if_known("status", status if status in CALLS_OVER else None) | {"source": "External"}


def _sms(sms: Object, mapping: IdMapping) -> dict[str, Any]:
    """Log it as received or sent; keep it as a draft if it was neither."""
    status = sms.get("status")
    if status not in SAFE_SMS:
        mapping.lost["SMS that were to be sent, and become drafts"] += 1
    return _pick(sms, SMS) | {"status": status if status in SAFE_SMS else "draft"}


def _rich(found: Object, fields: Iterable[str]) -> dict[str, Any]:
    """Send a rich text as HTML or, where there is none, as text; Close derives the one from the other."""
    body = _pick(found, fields)
    body.pop("note" if body.get("note_html") else "note_html", None)
    return body


def _count_attachments(found: Object, mapping: IdMapping) -> None:
    if attachments := len(_items(found, "attachments")):
        mapping.lost["attachments"] += attachments


def _new_object(kind: Kind, found: Object, body: Object) -> NewObject:
    contact_id = found.get("contact_id")
    return NewObject(kind, str(found["id"]), body, str(contact_id) if contact_id else None)


def check_sends_nothing(kind: Kind, body: Object) -> None:
    """Raise RuntimeError for a *body* that could have Close send or dial something: the last check before each POST."""
    silent = {"sms": body.get("status") in SAFE_SMS, "call": body.get("source") == "External"}
    if not silent.get(kind, True) or SENDING & set(body):
        raise RuntimeError(f"this {kind} could be sent; nothing that sends is ever restored")


def pair_contacts(old: Sequence[Object], new: Sequence[Object]) -> dict[str, str]:
    """Map old ids of contacts to new ones: by name and e-mail addresses, or else by their order among the rest."""
    left = list(new)
    pairs: dict[str, str] = {}
    for each in old:
        found = next((one for one in left if _identity(one) == _identity(each)), None)
        if found is not None:
            left.remove(found)
            pairs[str(each["id"])] = str(found["id"])
    rest = [str(each["id"]) for each in old if str(each["id"]) not in pairs]
    return pairs | {old_id: str(found["id"]) for old_id, found in zip(rest, left, strict=False)}


def _identity(contact: Object) -> tuple[str, list[str]]:
    emails = sorted(str(each.get("email", "")).lower() for each in _items(contact, "emails"))
    return _text(contact.get("name")), emails


def same_words(kind: Kind, sent: Object, found: Object) -> bool:
    """Whether *found*, in Close, has the same words as what was *sent*.

    Compares nothing else, since Close may write dates, phone numbers and HTML in its own way. A guess, so compare only
    with what the same user has created since.
    """
    return _words(kind, sent) == _words(kind, found)


def _words(kind: Kind, found: Object) -> list[object]:
    match kind:
        case "lead":
            names = sorted(_text(each.get("name")) for each in _items(found, "contacts"))
            return [_text(found.get("name")), _text(found.get("description")), names]
        case "opportunity":
            return [_text(found.get("note")), found.get("value")]
        case "note" | "call":
            return [_text(found.get("note_html") or found.get("note")), found.get("duration") or 0]
        case "task" | "sms":
            return [_text(found.get("text"))]


def _text(text: object) -> str:
    """*text* without tags, its runs of spaces as one."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", str(text or ""))).split())


def _pick(found: Object, fields: Iterable[str]) -> dict[str, Any]:
    return {name: found[name] for name in fields if found.get(name) is not None}


def _if_known(name: str, value: str | None) -> dict[str, Any]:
    return {} if value is None else {name: value}


def _items(found: Object, name: str) -> list[dict[str, Any]]:
    value = found.get(name)
    return [each for each in cast("list[Any]", value) if isinstance(each, dict)] if isinstance(value, list) else []
