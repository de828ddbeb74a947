"""Compiles the query grammar of Advanced Filtering to SQL.

Every node is true or false for a row, never null: an empty field makes a condition false and its negation true (unless
`Behaviour.negated_empty_matches` is off), and the negation of a group is its exact complement.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, FromClause, Table, and_, case, exists, false, func, not_, or_, true

from deployments.sandbox.database import schema
from deployments.sandbox.query.conditions import FieldValue, QueryContext, condition, has_words
from deployments.sandbox.query.fields import FIELDS, Expression, Kind, alias, rows_beneath
from deployments.sandbox.wire.body import Body
from deployments.sandbox.wire.errors import NO_SUCH_OBJECT, Invalid
from deployments.sandbox.wire.json_types import JsonObject

MAX_DEPTH = 50

ACTIVITIES = ("email", "call", "sms", "meeting", "note", "custom_activity")
TABLES: dict[str, Table] = {
    "lead": schema.leads,
    "contact": schema.contacts,
    "contact_email": schema.contact_emails,
    "contact_phone": schema.contact_phones,
    "contact_url": schema.contact_urls,
    "address": schema.addresses,
    "opportunity": schema.opportunities,
    "custom_object": schema.custom_objects,
    "sequence_subscription": schema.subscriptions,
    **{f"activity.{kind}": schema.activities for kind in ACTIVITIES},
}
ROOTS = ("lead", "contact", "opportunity", *(f"activity.{kind}" for kind in ACTIVITIES))
# The relations that a query may follow, and the columns that join them.
OF_LEAD = ("contact", "address", "opportunity", "custom_object", "sequence_subscription")
LINKS: dict[tuple[str, str], tuple[str, str]] = {
    **{("lead", name): ("pk", "lead_pk") for name in (*OF_LEAD, *(f"activity.{kind}" for kind in ACTIVITIES))},
    **{(name, "lead"): ("lead_pk", "pk") for name in ROOTS if name != "lead"},
    **{("contact", f"contact_{name}"): ("pk", "contact_pk") for name in ("email", "phone", "url")},
    ("contact", "opportunity"): ("id", "contact_id"),
    ("contact", "sequence_subscription"): ("id", "contact_id"),
    **{("contact", f"activity.{kind}"): ("id", "contact_id") for kind in ACTIVITIES},
}


@dataclass(frozen=True)
class References:
    """What a query may refer to: custom fields of leads (id → type) and Smart Views (id → bare query)."""

    custom_fields: Mapping[str, str]
    saved_searches: Mapping[str, JsonObject | None]


@dataclass(frozen=True)
class This:
    """The rows that a node applies to."""

    object_type: str
    rows: FromClause


@dataclass(frozen=True)
class CompiledQuery:
    """A compiled query: the object type, its rows, and the condition they must meet."""

    object_type: str
    rows: FromClause
    where: ColumnElement[bool]


def compile_query(query: Body, context: QueryContext, references: References) -> CompiledQuery:
    """Compile *query*; the object type is that of its object_type node, or lead. Raises Invalid (a 400)."""
    object_type = _root(query) or "lead"
    if object_type not in ROOTS:
        raise Invalid(f"Searching for {object_type} is not supported.", (*query.path, "type"))
    rows = alias(TABLES[object_type], object_type.replace(".", "_"))
    where = Compiler(context, references).node(query, This(object_type, rows), negated=False)
    if object_type.startswith("activity."):
        where = and_(rows.c.type == object_type.removeprefix("activity."), where)
    return CompiledQuery(object_type, rows, where)


def _root(query: Body, depth: int = 0) -> str | None:
    """The object type of the node, or of a node in its ``and`` groups."""
    if depth > MAX_DEPTH:
        raise Invalid("The query is nested too deeply.", query.path)
    if query.data.get("type") == "object_type":
        return query.text("object_type")
    if query.data.get("type") == "and":
        return next((found for each in query.objects("queries") if (found := _root(each, depth + 1))), None)
    return None


class Compiler:
    """Compiles the nodes of one query."""

    def __init__(self, context: QueryContext, references: References) -> None:
        self.context = context
        self.references = references
        self._depth = 0
        self._views: list[str] = []

    def node(self, body: Body, this: This, *, negated: bool) -> ColumnElement[bool]:
        """Compile one node; *negated* if the groups around it negate it."""
        kind = body.required_text("type")
        negate = body.boolean("negate", False)
        if kind == "field_condition":
            return self._field_condition(body, this, negate=negate, negated=negated)
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise Invalid("The query is nested too deeply.", body.path)
        try:
            return self._other(kind, body, this, negated=negated != negate)
        finally:
            self._depth -= 1

    def _other(self, kind: str, body: Body, this: This, *, negated: bool) -> ColumnElement[bool]:
        match kind:
            case "and" | "or":
                return self._group(kind, body, this, negated=negated)
            case "saved_search":
                return self._saved_search(body, this, negated=negated)
            case "object_type":
                found = self._object_type(body, this)
            case "id":
                found = this.rows.c.id == self._id_value(body, this)
            case "text":
                found = self._text(body, this)
            case "has_related":
                found = self._has_related(body, this)
            case "match_all":
                found = true()
            case "in_status":
                raise body.invalid("type", "The sandbox doesn't know in_status: Close doesn't document it.")
            case _:
                raise body.invalid("type", "Not a valid choice.")
        return not_(found) if negated else found

    def _group(self, kind: str, body: Body, this: This, *, negated: bool) -> ColumnElement[bool]:
        nodes = body.objects("queries")
        if not nodes:
            raise body.invalid("queries", "List must not be empty.")
        parts: list[ColumnElement[bool]] = []
        ids = [node for node in nodes if kind == "or" and _is_plain_id(node)]
        if ids:  # one lookup in a set instead of a thousand comparisons per row
            found = this.rows.c.id.in_([self._id_value(node, this) for node in ids])
            parts.append(not_(found) if negated else found)
        parts += [self.node(each, this, negated=negated) for each in nodes if each not in ids]
        return joined(and_ if (kind == "and") != negated else or_, parts)

    def _saved_search(self, body: Body, this: This, *, negated: bool) -> ColumnElement[bool]:
        view = body.required_text("saved_search_id")
        query = self.references.saved_searches.get(view)
        if query is None or view in self._views:
            raise body.invalid("saved_search_id", NO_SUCH_OBJECT)
        self._views.append(view)
        try:
            return self.node(Body(query, (*body.path, "saved_search_id")), this, negated=negated)
        finally:
            self._views.pop()

    def _object_type(self, body: Body, this: This) -> ColumnElement[bool]:
        wanted = body.required_text("object_type")
        if wanted not in TABLES:
            raise body.invalid("object_type", "Not a valid choice.")
        return true() if wanted == this.object_type else false()

    def _id_value(self, body: Body, this: This) -> str:
        if "id" not in FIELDS[this.object_type]:
            raise Invalid(f"A {this.object_type} has no id.", body.path)
        return body.required_text("value")

    def _text(self, body: Body, this: This) -> ColumnElement[bool]:
        """Full text: every word of the value is in some field of the object or, for leads, of a contact."""
        value = body.required_text("value")
        mode = body.choice("mode", ("full_words", "phrase", "beginning_of_words"), "full_words")
        texts = [f for f in FIELDS[this.object_type].values() if f.kind == "text"]
        places = [f.words(this.rows) if f.words else func.spaced(f.read(this.rows)) for f in texts]
        parts = [value] if mode == "phrase" else value.split()
        return and_(
            *(or_(*(has_words(p, part, mode) for p in places), *self._in_contacts(this, part, mode)) for part in parts)
        )

    def _in_contacts(self, this: This, value: str, mode: str) -> list[ColumnElement[bool]]:
        if this.object_type != "lead":
            return []
        contact, email = (rows_beneath(this.rows, table) for table in (schema.contacts, schema.contact_emails))
        mine = contact.c.lead_pk == this.rows.c.pk
        return [
            exists().where(mine, has_words(func.spaced(contact.c.name), value, mode)).correlate(this.rows),
            exists()
            .where(mine, email.c.contact_pk == contact.c.pk, has_words(func.spaced(email.c.email), value, mode))
            .correlate(this.rows),
        ]

    def _has_related(self, body: Body, this: This) -> ColumnElement[bool]:
        if body.required_text("this_object_type") != this.object_type:
            raise body.invalid("this_object_type", f"Expected {this.object_type}.")
        related = body.required_text("related_object_type")
        link = LINKS.get((this.object_type, related))
        if link is None:
            raise body.invalid("related_object_type", "Not a valid choice.")
        rows = rows_beneath(this.rows, TABLES[related])
        inner = self.node(body.required_object("related_query"), This(related, rows), negated=False)
        clauses = [this.rows.c[link[0]] == rows.c[link[1]], inner]
        if related.startswith("activity."):
            clauses.append(rows.c.type == related.removeprefix("activity."))
        return exists().where(*clauses).correlate_except(rows)

    def _field_condition(self, body: Body, this: This, *, negate: bool, negated: bool) -> ColumnElement[bool]:
        asked = body.required_object("condition")
        found = condition(asked, self._value(body.required_object("field"), this), self.context)
        if asked.data.get("type") == "exists":  # never null, and an index can look up a plain IS NULL
            return not_(found) if negate != negated else found
        if not negate:
            return found.is_not(true()) if negated else found
        if self.context.behaviour.negated_empty_matches:
            return found if negated else found.is_not(true())
        return not_(found).is_not(true()) if negated else not_(found)

    def _value(self, body: Body, this: This) -> FieldValue:
        kind = body.choice("type", ("regular_field", "custom_field"), "")
        if kind == "custom_field":
            return self._custom_value(body, this)
        if kind != "regular_field":
            raise body.invalid("type", "Not a valid choice.")
        object_type = body.required_text("object_type")
        if object_type not in TABLES:
            raise body.invalid("object_type", "Not a valid choice.")
        if object_type != this.object_type:
            raise body.invalid("object_type", f"Expected {this.object_type}.")
        field = FIELDS[object_type].get(body.required_text("field_name"))
        if field is None:
            raise body.invalid("field_name", "Not a valid choice.")
        return FieldValue(field.kind, field.read(this.rows), field.words and field.words(this.rows))

    def _custom_value(self, body: Body, this: This) -> FieldValue:
        custom_id = body.required_text("custom_field_id")
        if custom_id not in self.references.custom_fields or this.object_type != "lead":
            raise body.invalid("custom_field_id", NO_SUCH_OBJECT)
        return custom_value(this.rows, custom_id, self.references.custom_fields[custom_id])


def _is_plain_id(node: Body) -> bool:
    return node.data.get("type") == "id" and not node.data.get("negate")


def joined(
    join: Callable[..., ColumnElement[bool]], parts: Sequence[ColumnElement[bool]], size: int = 100
) -> ColumnElement[bool]:
    """The *parts* joined by `and_` or `or_`, in bunches: SQLite limits the depth of an expression to 1,000."""
    while len(parts) > size:
        bunches = [join(*parts[at : at + size]) for at in range(0, len(parts), size)]
        parts = [case((bunch, true()), else_=false()).is_(true()) for bunch in bunches]
    return join(*parts)


CUSTOM_KINDS: dict[str, Kind] = {
    "number": "number",
    "date": "date",
    "datetime": "moment",
    "user": "user",
    "text": "text",
    "textarea": "text",
}


def custom_value(lead: FromClause, custom_id: str, custom_type: str) -> FieldValue:
    """The value of a custom field of a lead, which may be a list."""
    path = f'$."{custom_id}"'
    value: Expression = func.json_extract(lead.c.custom, path)

    def is_one_of(wanted: list[str]) -> ColumnElement[bool]:
        each = func.json_each(lead.c.custom, path).table_valued("value")
        return and_(value.is_not(None), exists().where(each.c.value.in_(wanted)).correlate(lead))

    if CUSTOM_KINDS.get(custom_type) in ("moment", "date"):
        value = func.parse_moment(value, type_=schema.Moment())
    return FieldValue(CUSTOM_KINDS.get(custom_type, "term"), value, is_one_of=is_one_of)
