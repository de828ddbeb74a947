"""From a lead as Close exported it to what has to be made, so that it is there again. Asks nobody, sends nothing.

Only fields that are named here are ever sent. What cannot come back is counted by name in the `Fitting`, see `LOST`.
"""

import html
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from tasks.close.resources import Kind
from tasks.restore.id_mapping import CUSTOM, Fitting, Object

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
"""Close documents that tasks of other types can't be made."""
CALLS_OVER = {"completed", "cancel", "no-answer", "busy", "failed", "timeout"}
SAFE_SMS = {"inbox", "sent", "draft"}
"""Close documents that these log or keep an SMS; `outbox` and `scheduled` send it."""
SENDING = {"send_in", "date_scheduled", "send_to_inbox", "template_id"}
"""Fields that have Close send something, or tell somebody of it."""
ACTIVITIES: Mapping[str, Kind] = {"Note": "note", "Call": "call", "SMS": "sms"}

LOST = (
    "The ids of everything, and so the addresses of pages in Close.",
    "Who created and changed what, and when it was last changed: that is now you.",
    "The history of statuses, and the day on which an opportunity was lost.",
    "E-mail threads, which Close gets again from a mailbox that is still connected, and whatever else is counted here "
    "as lost.",
    "Completed tasks and whatever else Close leaves out of an export; integrations' links.",
)
"""What never comes back. Besides, there are the things of a kind that can't be made, which are counted by name."""


@dataclass(frozen=True)
class Piece:
    """One object that belongs to a lead, to be made: what to send, without the ids that only the new lead will have."""

    kind: Kind
    old_id: str
    body: Object
    contact_id: str | None = None
    """Of the contact in the backup that it belongs to."""

    def of(self, lead_id: str, contacts: Mapping[str, str]) -> dict[str, Any]:
        """What to send, now that the lead is there. *contacts* gives the new ids by the old."""
        contact = contacts.get(self.contact_id) if self.contact_id else None
        return {**self.body, "lead_id": lead_id, **({"contact_id": contact} if contact else {})}


@dataclass(frozen=True)
class Remade:
    """A lead to be made: itself with its contacts and addresses, which Close takes in one request, and the pieces."""

    old_id: str
    body: Object
    contacts: Sequence[Object]
    """As in the backup."""
    pieces: Sequence[Piece]

    def counts(self) -> Counter[str]:
        """How many objects of each kind."""
        return Counter({"lead": 1, "contact": len(self.contacts)}) + Counter[str](each.kind for each in self.pieces)


def remake(lead: Object, fitting: Fitting) -> Remade:
    """What has to be made for *lead*, as far as it fits."""
    contacts = _objects(lead, "contacts")
    body = _given(lead, LEAD) | fitting.custom("lead", lead)
    if status := fitting.lead_status(lead):
        body["status_id"] = status
    if addresses := [_given(each, ADDRESS) for each in _objects(lead, "addresses")]:
        body["addresses"] = addresses
    if contacts:
        body["contacts"] = [_contact(each, fitting) for each in contacts]
    pieces = [*_opportunities(lead, fitting), *_tasks(lead, fitting), *_activities(lead, fitting)]
    return Remade(str(lead["id"]), body, contacts, pieces)


def _contact(contact: Object, fitting: Fitting) -> dict[str, Any]:
    reachable = {
        many: [_given(each, keys) for each in _objects(contact, many)]
        for many, keys in REACHABLE.items()
        if contact.get(many)
    }
    return _given(contact, CONTACT) | reachable | fitting.custom("contact", contact)


def _opportunities(lead: Object, fitting: Fitting) -> Iterator[Piece]:
    for each in _objects(lead, "opportunities"):
        body = _given(each, OPPORTUNITY) | fitting.custom("opportunity", each)
        body |= _set("status_id", fitting.opportunity_status(each))
        body |= _set("user_id", fitting.user(each.get("user_id"), each.get("user_name")))
        _count_attachments(each, fitting)
        yield _piece("opportunity", each, body)


def _tasks(lead: Object, fitting: Fitting) -> Iterator[Piece]:
    for each in _objects(lead, "tasks"):
        if each.get("_type", "lead") not in TASK_TYPES:
            fitting.lost["tasks that only Close makes"] += 1
            continue
        body = _given(each, TASK) | _set(
            "assigned_to", fitting.user(each.get("assigned_to"), each.get("assigned_to_name"))
        )
        yield _piece("task", each, {"_type": "lead", **body})


def _activities(lead: Object, fitting: Fitting) -> Iterator[Piece]:
    for each in _objects(lead, "activities"):
        name = str(each.get("_type", ""))
        kind = ACTIVITIES.get(name)
        if kind is None:
            fitting.lost[f"activities of type {name}"] += 1
            continue
        body = {"note": _note, "call": _call, "sms": _sms}[kind](each, fitting)
        body |= _set("user_id", fitting.user(each.get("user_id"), each.get("user_name")))
        if any(key.startswith(CUSTOM) for key in each):
            fitting.lost["custom fields of activities"] += 1
        _count_attachments(each, fitting)
        yield _piece(kind, each, body)


def _note(note: Object, _: Fitting) -> dict[str, Any]:
    return _rich(note, NOTE)


def _call(call: Object, fitting: Fitting) -> dict[str, Any]:
    """An External one: Close neither dials nor bills it. One that wasn't over counts as completed."""
    for what in ("recording_url", "voicemail_url"):
        if call.get(what):
            fitting.lost["recordings of calls"] += 1
    if call.get("outcome_id"):
        fitting.lost["outcomes of calls"] += 1
    status = call.get("status")
    return _rich(call, CALL) | _set("status", status if status in CALLS_OVER else None) | {"source": "External"}


def _sms(sms: Object, fitting: Fitting) -> dict[str, Any]:
    """As it was received or sent; a draft if it wasn't yet."""
    status = sms.get("status")
    if status not in SAFE_SMS:
        fitting.lost["SMS that were to be sent, and become drafts"] += 1
    return _given(sms, SMS) | {"status": status if status in SAFE_SMS else "draft"}


def _rich(found: Object, fields: Iterable[str]) -> dict[str, Any]:
    """A rich text goes as HTML or, where there is none, as text; Close makes the one from the other."""
    body = _given(found, fields)
    body.pop("note" if body.get("note_html") else "note_html", None)
    return body


def _count_attachments(found: Object, fitting: Fitting) -> None:
    if attachments := len(_objects(found, "attachments")):
        fitting.lost["attachments"] += attachments


def _piece(kind: Kind, found: Object, body: Object) -> Piece:
    contact_id = found.get("contact_id")
    return Piece(kind, str(found["id"]), body, str(contact_id) if contact_id else None)


def check_sends_nothing(kind: Kind, body: Object) -> None:
    """Raise RuntimeError for a *body* that could have Close send or dial something: the last look before each POST."""
    silent = {"sms": body.get("status") in SAFE_SMS, "call": body.get("source") == "External"}
    if not silent.get(kind, True) or SENDING & set(body):
        raise RuntimeError(f"this {kind} could be sent; nothing that sends is ever restored")


def pair_contacts(old: Sequence[Object], new: Sequence[Object]) -> dict[str, str]:
    """The new ids of contacts by the old: by name and addresses, and else by their place among the rest."""
    left = list(new)
    pairs: dict[str, str] = {}
    for each in old:
        found = next((one for one in left if _who(one) == _who(each)), None)
        if found is not None:
            left.remove(found)
            pairs[str(each["id"])] = str(found["id"])
    rest = [str(each["id"]) for each in old if str(each["id"]) not in pairs]
    return pairs | {old_id: str(found["id"]) for old_id, found in zip(rest, left, strict=False)}


def _who(contact: Object) -> tuple[str, list[str]]:
    emails = sorted(str(each.get("email", "")).lower() for each in _objects(contact, "emails"))
    return _plain(contact.get("name")), emails


def alike(kind: Kind, sent: Object, found: Object) -> bool:
    """Whether *found*, in Close, has the words of what was *sent*: as good as the same, where nothing else can be it.

    Words only, since Close may write dates, phone numbers and HTML in its own way.
    """
    return _words(kind, sent) == _words(kind, found)


def _words(kind: Kind, found: Object) -> list[object]:
    match kind:
        case "lead":
            names = sorted(_plain(each.get("name")) for each in _objects(found, "contacts"))
            return [_plain(found.get("name")), _plain(found.get("description")), names]
        case "opportunity":
            return [_plain(found.get("note")), found.get("value")]
        case "note" | "call":
            return [_plain(found.get("note_html") or found.get("note")), found.get("duration") or 0]
        case "task" | "sms":
            return [_plain(found.get("text"))]


def _plain(text: object) -> str:
    """*text* without tags, and without a difference in spaces."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", str(text or ""))).split())


def _given(found: Object, fields: Iterable[str]) -> dict[str, Any]:
    return {name: found[name] for name in fields if found.get(name) is not None}


def _set(name: str, value: str | None) -> dict[str, Any]:
    return {} if value is None else {name: value}


def _objects(found: Object, name: str) -> list[dict[str, Any]]:
    value = found.get(name)
    return [each for each in cast("list[Any]", value) if isinstance(each, dict)] if isinstance(value, list) else []
