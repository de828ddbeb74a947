"""Queries from queries: Smart Views inlined, negated, compared.

Everything here is a plain function of values, without a request to Close.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, cast

from dateutil.parser import isoparse

from tasks.close.query.conditions import Exists, FixedUtc, Part, text_of
from tasks.close.query.nodes import (
    And,
    FieldCondition,
    HasRelated,
    MatchAll,
    Node,
    ObjectType,
    Or,
    Query,
    SavedSearch,
    any_of,
    empty,
    to_json,
)


class UnusableQuery(ValueError):
    """A query that must not select leads. The message says which part, and what to write instead."""


def always(query: Query, kind: str = "lead") -> bool | None:
    """Return True if *query* matches every object of this *kind*, False if none, None if it depends on the object."""
    verdict: bool | None = None
    match query:
        case MatchAll():
            verdict = True
        case ObjectType():
            verdict = query.object_type == kind
        case And():
            inner = [always(each, kind) for each in query.queries]
            verdict = False if False in inner else None if None in inner else True
        case Or():
            inner = [always(each, kind) for each in query.queries]
            verdict = True if True in inner else None if None in inner else False
        case HasRelated() if always(query.related_query, query.related_object_type) is False:
            verdict = False
        case _:
            return None
    return verdict if verdict is None else verdict != query.negate


# --- rewriting --------------------------------------------------------------------------------------------------------


def rewritten(part: Part, change: Callable[[Part], Part]) -> Part:
    """Return *part* with *change* applied to everything inside it and then to itself."""
    updates: dict[str, object] = {}
    for name in type(part).model_fields:
        value = getattr(part, name)
        if isinstance(value, Part):
            updates[name] = rewritten(value, change)
        elif isinstance(value, tuple):
            inner = cast("tuple[object, ...]", value)
            updates[name] = tuple(rewritten(each, change) if isinstance(each, Part) else each for each in inner)
    return change(part.model_copy(update=updates))


def inline(query: Query, view: Callable[[str], Query], *, inside: tuple[str, ...] = ()) -> Query:
    """Return *query* with each nested Smart View replaced by its query, which *view* returns for its id.

    Close would resolve the Smart View when the bulk delete runs, after the plan was made. Raises `UnusableQuery` for
    Smart Views that contain themselves, and everything that *view* raises.
    """

    def change(part: Part) -> Part:
        if not isinstance(part, SavedSearch):
            return part
        if part.model_extra:
            raise UnusableQuery(f"a Smart View nested in it has {', '.join(part.model_extra)}, which we don't know")
        if part.saved_search_id in inside:
            raise UnusableQuery(f"Smart View {part.saved_search_id} contains itself")
        found = inline(view(part.saved_search_id), view, inside=(*inside, part.saved_search_id))
        return negated(found) if part.negate else found

    return rewritten(query, change)  # pyright: ignore[reportReturnType]


def instant_of(moment: FixedUtc) -> datetime:
    """Return the instant of *moment*; without a time zone it is UTC. Raises ValueError if it is no instant."""
    return _read(moment.value)


def _read(text: str) -> datetime:
    instant = isoparse(text)
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


# --- negating ---------------------------------------------------------------------------------------------------------


def negated(query: Query) -> Query:
    """Return *query* with ``negate`` flipped: what "not" means to Close itself, for empty fields too."""
    return query.model_copy(update={"negate": not query.negate})


def asserted(query: Query) -> Query:
    """Return a query for the leads that meet *query*; a negated condition counts an empty field as met.

    With `denied` it divides all leads in two, regardless of how Close treats a negated condition on an empty field.
    """
    return _divided(query, negate=False)


def denied(query: Query) -> Query:
    """Return a query for the leads that don't meet *query*: each condition negated, with emptiness spelled out."""
    return _divided(query, negate=True)


def _divided(query: Query, *, negate: bool) -> Query:
    negate = negate != query.negate
    match query:
        case And() | Or():
            inner = tuple(_divided(each, negate=negate) for each in query.queries)
            return And(queries=inner) if isinstance(query, And) != negate else Or(queries=inner)
        case FieldCondition() if negate and not isinstance(query.condition, Exists):
            return any_of([empty(query.field), query.model_copy(update={"negate": True})])
        case _:
            return query.model_copy(update={"negate": negate})


def conditions_only(query: Query) -> Query | None:
    """Return *query* without the clauses that don't depend on the lead; None if it matches every lead."""
    verdict = always(query)
    if verdict is not None:
        return None if verdict else query
    if not isinstance(query, And | Or):
        return query
    kept = [conditions_only(each) for each in query.queries if always(each) is None]
    inner = tuple(each for each in kept if each is not None)
    return inner[0] if len(inner) == 1 and not query.negate else query.model_copy(update={"queries": inner})


# --- comparing --------------------------------------------------------------------------------------------------------


def canonical(query: Query | Mapping[str, Any], *, as_spelled: bool = False) -> str:
    """Return *query* as a text that is equal for equal queries.

    Close may add ``negate: false``, write absent keys as null, reorder keys, write 0 as 0.0, and spell an instant in
    several ways: the text ignores that. With *as_spelled*, instants are compared as they are spelled, as in 0.1.
    """
    document = to_json(query) if isinstance(query, Node) else query
    plain = _plain(document, (lambda text: text) if as_spelled else _as_we_spell_it)
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _plain(value: object, spell: Callable[[str], str]) -> object:
    match value:
        case {"type": "fixed_utc", "value": str(text)} if (spelled := spell(text)) != text:
            return _plain({**cast("Mapping[str, object]", value), "value": spelled}, spell)
        case Mapping():
            return {
                key: _plain(inner, spell)
                for key, inner in cast("Mapping[str, object]", value).items()
                if inner is not None and not (key == "negate" and inner is False)
            }
        case list() | tuple():
            return [_plain(inner, spell) for inner in cast("list[object]", value)]
        case float() if value.is_integer():
            return int(value)
        case _:
            return value


def _as_we_spell_it(text: str) -> str:
    """An instant as `FixedUtc.at` writes it, with its microseconds if it has any; as it is if it can't be read."""
    try:
        instant = _read(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return text
    return text_of(instant, "microseconds" if instant.microsecond % 1000 else "milliseconds")


def instants_in(value: object) -> Iterator[datetime]:
    """Yield every instant in *value*, a query as JSON or a part of it. Those that can't be read are left out."""
    match value:
        case {"type": "fixed_utc", "value": str(text)}:
            with suppress(ValueError, OverflowError):
                yield _read(text)
        case Mapping():
            for inner in cast("Mapping[str, object]", value).values():
                yield from instants_in(inner)
        case list() | tuple():
            for inner in cast("list[object]", value):
                yield from instants_in(inner)
        case _:
            pass
