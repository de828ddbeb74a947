"""Close's query language: ``s_query`` as frozen values.

Close documents the grammar on its Advanced Filtering page; some of it is known only from queries that people export
from Close or send in production. Reading is lenient: nodes, fields, conditions and moments of unknown types, and
unknown keys, are kept as they are; `unknown_parts` lists them. Writing is strict: a group without members can't be
built. `parse` and `to_json` round-trip without loss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

from pydantic import ConfigDict, Discriminator, Field, StrictBool, Tag, TypeAdapter

from tasks.close.query.conditions import (
    UNKNOWN,
    Condition,
    Exists,
    FieldRef,
    FixedUtc,
    Moment,
    MomentRange,
    Part,
    RegularField,
    by_type,
    type_key,
)

DEEPEST = 50
"""Levels of nesting that a query may have. Close's filters make about five."""
T = TypeVar("T")

# --- nodes ---------------------------------------------------------------------------------------------------------


class Node(Part):
    """A clause. ``negate`` means "not"."""

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
    """The objects that a Smart View matches when the query is evaluated."""

    type: Literal["saved_search"] = "saved_search"
    saved_search_id: str


class InStatus(Node):
    """The object was in one of the statuses during the interval."""

    type: Literal["in_status"] = "in_status"
    status_ids: tuple[str, ...]
    on_or_after: Moment | None = None
    before: Moment | None = None


class UnknownNode(Node):
    """A clause of an unknown type, kept as it is."""

    type: str = ""


KNOWN = (And, Or, ObjectType, Id, Text, FieldCondition, HasRelated, MatchAll, SavedSearch, InStatus)
NODE_TYPES = frozenset(model.model_fields[type_key].default for model in KNOWN)

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
    Discriminator(by_type(*KNOWN)),
]

_query: TypeAdapter[Query] = TypeAdapter(Query, config=ConfigDict(defer_build=True))


# --- reading and writing ----------------------------------------------------------------------------------------------


def parse(node: Mapping[str, Any]) -> Query:
    """Return the query that *node*, a decoded JSON object, is.

    Raises pydantic's ValidationError for a known node of the wrong shape. Unknown ones are kept: see `unknown_parts`.
    """
    return _query.validate_python(dict(node))


def to_json(query: Part) -> dict[str, Any]:
    """Return *query* as Close's JSON. Only what was set is written, so that a parsed query comes out unchanged."""
    return query.model_dump(mode="json", exclude_unset=True)


def parts(part: Part) -> Iterator[Part]:
    """Yield *part* and everything inside it, outermost first."""
    yield part
    for inner in directly_inside(part):
        yield from parts(inner)


def directly_inside(part: Part) -> Iterator[Part]:
    """Yield the parts directly inside *part*."""
    for name in type(part).model_fields:
        value = getattr(part, name)
        for inner in value if isinstance(value, tuple) else (value,):  # pyright: ignore[reportUnknownVariableType]
            if isinstance(inner, Part):
                yield inner


def is_deeper(value: T, inside: Callable[[T], Iterable[T]], levels: int) -> bool:
    """Whether *value*, of which *inside* returns the direct parts, is nested deeper than so many *levels*."""
    level = [value]
    for _ in range(levels):
        level = [inner for each in level for inner in inside(each)]
        if not level:
            return False
    return True


def unknown_parts(query: Query) -> list[str]:
    """Return the unknown types and keys in *query*, by name, for a sentence to a person."""
    names: list[str] = []
    for part in parts(query):
        if isinstance(part, (*UNKNOWN, UnknownNode)):
            names.append(part.type or "(no type)")
        else:
            names.extend(f"{getattr(part, type_key, 'offset')}.{key}" for key in part.model_extra or ())
    return names


# --- building ---------------------------------------------------------------------------------------------------------


def lead_field(name: str) -> RegularField:
    """Return the lead's field *name*, for example ``last_communication_date``."""
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
