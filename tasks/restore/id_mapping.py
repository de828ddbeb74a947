"""From the ids in a backup to those of the organisation as it is now: statuses, users, custom fields, choices."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

from tasks.close.resources import CustomField, FieldOwner

Object = Mapping[str, Any]

CUSTOM = "custom."
CUSTOM_FIELDS: Mapping[FieldOwner, str] = {
    "lead": "custom field of leads",
    "contact": "custom field of contacts",
    "opportunity": "custom field of opportunities",
}


class Missing(NamedTuple):
    """Something that a backup names and the organisation no longer has."""

    kind: str
    id: str
    label: str


@dataclass(frozen=True)
class Inventory:
    """What an organisation has of the things that a backup may name, by id."""

    lead_statuses: Mapping[str, str]
    """Labels by id, as are the opportunities' statuses."""
    opportunity_statuses: Mapping[str, str]
    users: frozenset[str]
    """The members. Nothing can be assigned to a user who has left."""
    custom_fields: Mapping[FieldOwner, Mapping[str, CustomField]]


@dataclass
class IdMapping:
    """Keeps each id that the organisation has, replaces those in *instead*, and leaves out and counts the others.

    *instead* maps ids in the backup to ids in the organisation. `missing` and `lost` grow with each lead.
    """

    inventory: Inventory
    instead: Mapping[str, str] = field(default_factory=dict[str, str])
    replaced: set[str] = field(default_factory=set[str])
    """Ids in the backup for which *instead* names another."""
    missing: Counter[Missing] = field(default_factory=Counter[Missing])
    lost: Counter[str] = field(default_factory=Counter[str])
    """What can't be restored: nouns, such as ``attachments``, and how many."""

    def lead_status(self, lead: Object) -> str | None:
        """Return the lead's status, or None for Close's default, the organisation's first."""
        return self._known("lead status", self.inventory.lead_statuses, lead.get("status_id"), lead.get("status_label"))

    def opportunity_status(self, opportunity: Object) -> str | None:
        """Return the opportunity's status, or None for Close's default, the organisation's first."""
        known = self.inventory.opportunity_statuses
        return self._known("opportunity status", known, opportunity.get("status_id"), opportunity.get("status_label"))

    def user(self, user_id: object, name: object = None) -> str | None:
        """Return the user, or None for Close's default, the user whose API key restores."""
        return self._known("user", self.inventory.users, user_id, name)

    def custom(self, kind: FieldOwner, found: Object) -> dict[str, Any]:
        """Return the custom fields of *found* that can be set."""
        fields: dict[str, Any] = {}
        for key, value in found.items():
            if not key.startswith(CUSTOM) or value is None:
                continue
            known = self.inventory.custom_fields.get(kind, {})
            field_id = self._known(CUSTOM_FIELDS[kind], known, key.removeprefix(CUSTOM), None)
            mapped = self._value(known[field_id], value) if field_id else None
            if mapped is not None:
                fields[f"{CUSTOM}{field_id}"] = mapped
        return fields

    def _value(self, custom: CustomField, value: Any) -> Any:
        """Return a custom field's value; of several values, those that the organisation still has."""
        if custom.type in {"contact", "custom_object"}:
            self.lost["custom fields that point to something else"] += 1
            return None
        if isinstance(value, list):
            mapped = (self._single(custom, each) for each in cast("list[Any]", value))
            return [each for each in mapped if each is not None] or None
        return self._single(custom, value)

    def _single(self, custom: CustomField, value: Any) -> Any:
        if custom.type == "user":
            return self.user(value)
        if custom.type == "choices" and custom.choices is not None:
            return self._known(f"choice of {custom.name}", custom.choices, value, None)
        return value

    def _known(self, kind: str, known: Iterable[str], wanted: object, label: object) -> str | None:
        if not isinstance(wanted, str) or not wanted:
            return None
        found = self.instead.get(wanted, wanted)
        if wanted in self.instead:
            self.replaced.add(wanted)
        if found in known:
            return found
        self.missing[Missing(kind, found, str(label) if label and found == wanted else "")] += 1
        return None
