"""Close's query language: what ``s_query`` says, as frozen values.

Close documents the grammar on its Advanced Filtering page; some of it is known only from queries that people export
from Close or send in production. Reading is lenient: a node, field, condition or moment of an unknown type, and keys
we have no name for, are kept as they came and can be found with `unknown_parts`. Writing is strict: a group without
members cannot be built. `parse` and `to_json` round-trip without loss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, StrictBool, StrictFloat, StrictInt, Tag, TypeAdapter

type_key = "type"


class Part(BaseModel):
    """Any piece of a query. Keys we don't know are kept, so that nothing is lost between reading and writing."""

    model_config = ConfigDict(frozen=True, extra="allow")

    def model_post_init(self, _context: object) -> None:
        """Count ``type`` as set, so that it is written although nobody passes it."""
        field = type(self).model_fields.get(type_key)
        if field is not None and field.default:
            self.model_fields_set.add(type_key)


# --- moments -------------------------------------------------------------------------------------------------------


class Now(Part):
    """The instant at which Close evaluates the query."""

    type: Literal["now"] = "now"


class FixedLocalDate(Part):
    """The start or end of a calendar day, in the time zone of whoever asks."""

    type: Literal["fixed_local_date"] = "fixed_local_date"
    value: str
    which: Literal["start", "end"] = "start"


class FixedUtc(Part):
    """An absolute instant. The text is kept as given; Close itself writes several forms."""

    type: Literal["fixed_utc"] = "fixed_utc"
    value: str

    @classmethod
    def at(cls, moment: datetime) -> FixedUtc:
        """*moment* cut to milliseconds, with ``Z``: six-digit fractions have been reported as rejected."""
        return cls(value=moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"))


class Span(Part):
    """A calendar distance. Close's own exports always spell out all seven units."""

    years: int = 0
    months: int = 0
    weeks: int = 0
    days: int = 0
    hours: int = 0
    minutes: int = 0
    seconds: int = 0


class Offset(Part):
    """A moment some way before or after another one."""

    type: Literal["offset"] = "offset"
    direction: Literal["past", "future"]
    moment: Moment
    offset: Span
    which_day_end: Literal["start", "end"] | None = None


class UnknownMoment(Part):
    """A moment that we can keep, but neither read nor freeze."""

    type: str = ""


# --- fields --------------------------------------------------------------------------------------------------------


class RegularField(Part):
    """A field that every organisation has, named as on the object type it belongs to."""

    type: Literal["regular_field"] = "regular_field"
    object_type: str
    field_name: str


class CustomFieldRef(Part):
    """A custom field, by its id (``cf_…``, or ``lcf_…`` in old queries)."""

    type: Literal["custom_field"] = "custom_field"
    custom_field_id: str


class UnknownField(Part):
    """A field of a kind that we don't know."""

    type: str = ""


# --- conditions ----------------------------------------------------------------------------------------------------

Number = StrictInt | StrictFloat  # strict: "5" read as 5, or true as 1, would not be written as it came


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
    """It is between these times of day now, where the lead lives."""

    type: Literal["local_time"] = "local_time"
    on_or_after: str | None = None
    before: str | None = None


class UnknownCondition(Part):
    """A condition that we can keep but not read."""

    type: str = ""


# --- nodes ---------------------------------------------------------------------------------------------------------


class Node(Part):
    """A clause. ``negate`` turns its meaning round."""

    negate: StrictBool = False


class And(Node):
    """All of the clauses hold."""

    type: Literal["and"] = "and"
    queries: tuple[Query, ...] = Field(min_length=1)


class Or(Node):
    """At least one of the clauses holds."""

    type: Literal["or"] = "or"
    queries: tuple[Query, ...] = Field(min_length=1)


class ObjectType(Node):
    """The objects are of this type, for example ``lead`` or ``contact``."""

    type: Literal["object_type"] = "object_type"
    object_type: str


class Id(Node):
    """The object has this id."""

    type: Literal["id"] = "id"
    value: str


class Text(Node):
    """The words occur anywhere in the object (Close's full-text search)."""

    type: Literal["text"] = "text"
    value: str
    mode: str | None = None


class FieldCondition(Node):
    """One field meets one condition."""

    type: Literal["field_condition"] = "field_condition"
    field: FieldRef
    condition: Condition


class HasRelated(Node):
    """The object has at least one related object that meets the inner query."""

    type: Literal["has_related"] = "has_related"
    this_object_type: str
    related_object_type: str
    related_query: Query


class MatchAll(Node):
    """Every object there is."""

    type: Literal["match_all"] = "match_all"


class SavedSearch(Node):
    """Whatever a Smart View matches at the time the query is evaluated."""

    type: Literal["saved_search"] = "saved_search"
    saved_search_id: str


class InStatus(Node):
    """The object was in one of the statuses during the interval."""

    type: Literal["in_status"] = "in_status"
    status_ids: tuple[str, ...]
    on_or_after: Moment | None = None
    before: Moment | None = None


class UnknownNode(Node):
    """A clause of a kind that we don't know, kept as it came."""

    type: str = ""


# --- unions that fall back to "unknown" -------------------------------------------------------------------------------


def _by_type(*known: type[Part]) -> Callable[[object], str]:
    names = {model.model_fields[type_key].default for model in known}

    def tag(value: object) -> str:
        name = value.get(type_key) if isinstance(value, Mapping) else getattr(value, type_key, None)  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
        return name if isinstance(name, str) and name in names else "unknown"

    return tag


Moment = Annotated[
    Annotated[Now, Tag("now")]
    | Annotated[FixedLocalDate, Tag("fixed_local_date")]
    | Annotated[FixedUtc, Tag("fixed_utc")]
    | Annotated[Offset, Tag("offset")]
    | Annotated[UnknownMoment, Tag("unknown")],
    Discriminator(_by_type(Now, FixedLocalDate, FixedUtc, Offset)),
]
FieldRef = Annotated[
    Annotated[RegularField, Tag("regular_field")]
    | Annotated[CustomFieldRef, Tag("custom_field")]
    | Annotated[UnknownField, Tag("unknown")],
    Discriminator(_by_type(RegularField, CustomFieldRef)),
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
        _by_type(Boolean, Exists, CurrentUser, TextCondition, Term, Reference, NumberRange, MomentRange, LocalTime)
    ),
]
Query = Annotated[
    Annotated[And, Tag("and")]
    | Annotated[Or, Tag("or")]
    | Annotated[ObjectType, Tag("object_type")]
    | Annotated[Id, Tag("id")]
    | Annotated[Text, Tag("text")]
    | Annotated[FieldCondition, Tag("field_condition")]
    | Annotated[HasRelated, Tag("has_related")]
    | Annotated[MatchAll, Tag("match_all")]
    | Annotated[SavedSearch, Tag("saved_search")]
    | Annotated[InStatus, Tag("in_status")]
    | Annotated[UnknownNode, Tag("unknown")],
    Discriminator(_by_type(And, Or, ObjectType, Id, Text, FieldCondition, HasRelated, MatchAll, SavedSearch, InStatus)),
]

_unknown = (UnknownMoment, UnknownField, UnknownCondition, UnknownNode)

for _model in (Offset, MomentRange, InStatus, And, Or, FieldCondition, HasRelated):
    _model.model_rebuild()

_query: TypeAdapter[Query] = TypeAdapter(Query)


# --- reading and writing ----------------------------------------------------------------------------------------------


def parse(node: Mapping[str, Any]) -> Query:
    """The query that *node*, a decoded JSON object, says.

    Raises pydantic's ValidationError for a known node of the wrong shape; unknown ones are kept, see `unknown_parts`.
    """
    return _query.validate_python(dict(node))


def to_json(query: Part) -> dict[str, Any]:
    """*query* as Close reads it: only what was said, so that a query which was read comes out as it was."""
    return query.model_dump(mode="json", exclude_unset=True)


def parts(part: Part) -> Iterator[Part]:
    """*part* and everything inside it, outermost first."""
    yield part
    for name in type(part).model_fields:
        value = getattr(part, name)
        for inner in value if isinstance(value, tuple) else (value,):  # pyright: ignore[reportUnknownVariableType]
            if isinstance(inner, Part):
                yield from parts(inner)


def unknown_parts(query: Query) -> list[str]:
    """What in *query* we have no meaning for: the names of types and keys, for a sentence to a person."""
    names: list[str] = []
    for part in parts(query):
        if isinstance(part, _unknown):
            names.append(part.type or "(no type)")
        else:
            names.extend(f"{getattr(part, type_key, 'offset')}.{key}" for key in part.model_extra or ())
    return names


# --- writing by hand --------------------------------------------------------------------------------------------------


def lead_field(name: str) -> RegularField:
    """The lead's field *name*, for example ``last_communication_date``."""
    return RegularField(object_type="lead", field_name=name)


def where(field: FieldRef, condition: Condition) -> FieldCondition:
    """*field* meets *condition*."""
    return FieldCondition(field=field, condition=condition)


def empty(field: FieldRef) -> FieldCondition:
    """*field* has no value."""
    return FieldCondition(field=field, condition=Exists(), negate=True)


def before(field: FieldRef, moment: datetime) -> FieldCondition:
    """*field* lies before *moment*; an empty field does not."""
    return where(field, MomentRange(before=FixedUtc.at(moment)))


def on_or_after(field: FieldRef, moment: datetime) -> FieldCondition:
    """*field* lies at or after *moment*; an empty field does not."""
    return where(field, MomentRange(on_or_after=FixedUtc.at(moment)))


def any_of(queries: Sequence[Query]) -> Query:
    """At least one of *queries* (which must not be empty) holds."""
    return queries[0] if len(queries) == 1 else Or(queries=tuple(queries))


def all_of(queries: Sequence[Query]) -> Query:
    """All of *queries* (which must not be empty) hold."""
    return queries[0] if len(queries) == 1 else And(queries=tuple(queries))


def has(related: str, query: Query, *, this: str = "lead") -> HasRelated:
    """*this* has at least one *related* object that meets *query*."""
    return HasRelated(this_object_type=this, related_object_type=related, related_query=query)
