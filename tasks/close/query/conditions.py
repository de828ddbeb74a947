"""The parts of a query that a clause is made of: moments, fields and conditions.

See `tasks.close.query.nodes` for the clauses themselves, and for reading and writing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, StrictBool, StrictFloat, StrictInt, Tag

type_key = "type"


class Part(BaseModel):
    """Any part of a query. Unknown keys are kept, so that nothing is lost between reading and writing."""

    model_config = ConfigDict(frozen=True, extra="allow", defer_build=True)

    def model_post_init(self, _context: object) -> None:
        """Count ``type`` as set, so that it is written even if it wasn't passed."""
        field = type(self).model_fields.get(type_key)
        if field is not None and field.default:
            self.model_fields_set.add(type_key)


def by_type(*known: type[Part]) -> Callable[[object], str]:
    """Return the discriminator of a union of *known* parts, which falls back to ``unknown``."""
    names = {model.model_fields[type_key].default for model in known}

    def tag(value: object) -> str:
        name = value.get(type_key) if isinstance(value, Mapping) else getattr(value, type_key, None)  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
        return name if isinstance(name, str) and name in names else "unknown"

    return tag


# --- moments -------------------------------------------------------------------------------------------------------


def text_of(instant: datetime, timespec: str = "milliseconds") -> str:
    """Return *instant* as we write it, in UTC with ``Z``."""
    return instant.astimezone(UTC).isoformat(timespec=timespec).replace("+00:00", "Z")


class Now(Part):
    """The instant at which Close evaluates the query."""

    type: Literal["now"] = "now"


class FixedLocalDate(Part):
    """The start or end of a calendar day, in the time zone of the user who asks."""

    type: Literal["fixed_local_date"] = "fixed_local_date"
    value: str
    which: Literal["start", "end"] = "start"


class FixedUtc(Part):
    """An absolute instant. The text is kept as it is; Close itself writes several forms."""

    type: Literal["fixed_utc"] = "fixed_utc"
    value: str

    @classmethod
    def at(cls, moment: datetime) -> FixedUtc:
        """Return *moment* cut to milliseconds, with ``Z``: six-digit fractions have been reported as rejected."""
        return cls(value=text_of(moment))


class PredefinedPeriod(Part):
    """The start or end of today, of this week or the like, as Close's UI writes it: see `tasks.close.query.freeze`."""

    type: Literal["start_end_of_predefined_relative_period"] = "start_end_of_predefined_relative_period"
    range: str
    which: Literal["start", "end"]


Amount = Annotated[StrictInt, Field(ge=0)]  # minus twelve months ago would be in twelve months


class Span(Part):
    """A calendar distance. Close's own exports always contain all seven units."""

    years: Amount = 0
    months: Amount = 0
    weeks: Amount = 0
    days: Amount = 0
    hours: Amount = 0
    minutes: Amount = 0
    seconds: Amount = 0


class Offset(Part):
    """A moment at a distance before or after another one."""

    type: Literal["offset"] = "offset"
    direction: Literal["past", "future"]
    moment: Moment
    offset: Span
    which_day_end: Literal["start", "end"] | None = None


class UnknownMoment(Part):
    """A moment of an unknown type: kept, but neither read nor frozen."""

    type: str = ""


# --- fields --------------------------------------------------------------------------------------------------------


class RegularField(Part):
    """A field that every organisation has, by its name on the object type it belongs to."""

    type: Literal["regular_field"] = "regular_field"
    object_type: str
    field_name: str


class CustomFieldRef(Part):
    """A custom field, by its id (``cf_…``, or ``lcf_…`` in old queries)."""

    type: Literal["custom_field"] = "custom_field"
    custom_field_id: str


class UnknownField(Part):
    """A field of an unknown type."""

    type: str = ""


# --- conditions ----------------------------------------------------------------------------------------------------

Number = StrictInt | StrictFloat  # strict: "5" read as 5, or true as 1, would be written differently


class Boolean(Part):
    """The field is true, or false."""

    type: Literal["boolean"] = "boolean"
    value: StrictBool


class Exists(Part):
    """The field has a value. "Is empty" is this with ``negate`` on the node."""

    type: Literal["exists"] = "exists"


class CurrentUser(Part):
    """The field is the user whose key asks."""

    type: Literal["current_user"] = "current_user"


class TextCondition(Part):
    """The field's text contains, begins with, or is the value; see *mode*."""

    type: Literal["text"] = "text"
    mode: str
    value: str


class Term(Part):
    """The field is one of the values: choices, enumerations, plain ids."""

    type: Literal["term"] = "term"
    values: tuple[str | StrictBool | Number, ...]


class Reference(Part):
    """The field points to one of the objects, for example a lead status (``status.lead``) or a user."""

    type: Literal["reference"] = "reference"
    reference_type: str
    object_ids: tuple[str, ...]


class NumberRange(Part):
    """The field's number lies within all the bounds given."""

    type: Literal["number_range"] = "number_range"
    gt: Number | None = None
    gte: Number | None = None
    lt: Number | None = None
    lte: Number | None = None


class MomentRange(Part):
    """The field's instant lies in the half-open interval; an absent bound is no bound."""

    type: Literal["moment_range"] = "moment_range"
    on_or_after: Moment | None = None
    before: Moment | None = None


class LocalTime(Part):
    """The local time of day, where the lead is, lies between these."""

    type: Literal["local_time"] = "local_time"
    on_or_after: str | None = None
    before: str | None = None


class UnknownCondition(Part):
    """A condition of an unknown type: kept, but not read."""

    type: str = ""


# --- any of them -----------------------------------------------------------------------------------------------------

Moment = Annotated[
    Annotated[Now, Tag("now")]
    | Annotated[FixedLocalDate, Tag("fixed_local_date")]
    | Annotated[FixedUtc, Tag("fixed_utc")]
    | Annotated[PredefinedPeriod, Tag("start_end_of_predefined_relative_period")]
    | Annotated[Offset, Tag("offset")]
    | Annotated[UnknownMoment, Tag("unknown")],
    Discriminator(by_type(Now, FixedLocalDate, FixedUtc, PredefinedPeriod, Offset)),
]
FieldRef = Annotated[
    Annotated[RegularField, Tag("regular_field")]
    | Annotated[CustomFieldRef, Tag("custom_field")]
    | Annotated[UnknownField, Tag("unknown")],
    Discriminator(by_type(RegularField, CustomFieldRef)),
]
Condition = Annotated[
    Annotated[Boolean, Tag("boolean")]
    | Annotated[Exists, Tag("exists")]
    | Annotated[CurrentUser, Tag("current_user")]
    | Annotated[TextCondition, Tag("text")]
    | Annotated[Term, Tag("term")]
    | Annotated[Reference, Tag("reference")]
    | Annotated[NumberRange, Tag("number_range")]
    | Annotated[MomentRange, Tag("moment_range")]
    | Annotated[LocalTime, Tag("local_time")]
    | Annotated[UnknownCondition, Tag("unknown")],
    Discriminator(
        by_type(Boolean, Exists, CurrentUser, TextCondition, Term, Reference, NumberRange, MomentRange, LocalTime)
    ),
]

UNKNOWN = (UnknownMoment, UnknownField, UnknownCondition)
