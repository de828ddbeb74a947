"""What Close returns, as types: the fields that something here reads, and all fields of a bulk delete.

Lenient: other fields are ignored, and fields that we can do without may be missing.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AliasPath, BaseModel, ConfigDict, Field, StrictBool, StrictInt

FieldOwner = Literal["lead", "contact", "opportunity"]
"""What has custom fields that a backup contains."""
Kind = Literal["lead", "opportunity", "task", "note", "call", "sms"]
"""What `CloseClient.create` creates. Contacts are created with their lead."""
ENDPOINTS: Mapping[Kind, str] = {
    "lead": "/lead/",
    "opportunity": "/opportunity/",
    "task": "/task/",
    "note": "/activity/note/",
    "call": "/activity/call/",
    "sms": "/activity/sms/",
}

Id = Annotated[str, Field(pattern=r"^\w+$")]
Count = Annotated[StrictInt, Field(ge=0)]
Moment = Annotated[datetime, AfterValidator(lambda moment: moment if moment.tzinfo else moment.replace(tzinfo=UTC))]


class Resource(BaseModel):
    """An object that Close returned."""

    # Close's answers may name customers, so errors don't quote them.
    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)


class BulkStatus(StrEnum):
    """The status of a bulk delete. Close lists these without defining them; the comments are our reading.

    created → loading → processing → done
                 ↕           ↕  ↘
              paused ⇄ resuming   error
    """

    CREATED = "created"  # accepted, not started
    LOADING = "loading"  # finding the leads; the totals are still null
    PROCESSING = "processing"
    PAUSED = "paused"  # by a person; Close refuses to resume after seven days
    RESUMING = "resuming"
    DONE = "done"
    ERROR = "error"


class BulkDelete(Resource):
    """A bulk delete: Close's asynchronous job that deletes what a query matches."""

    id: Id
    organization_id: str | None = None
    bulk_object_type: str | None = None
    # An unknown status is kept as text: it is neither success nor failure.
    status: Annotated[BulkStatus | str | None, Field(union_mode="left_to_right")] = None
    s_query: dict[str, Any] | None = None
    query: str | None = None
    sort: list[dict[str, Any]] | None = None
    results_limit: int | None = None
    send_done_email: bool | None = None
    n_leads: Count | None = None
    n_leads_processed: Count | None = None
    n_objects: Count | None = None
    n_objects_processed: Count | None = None
    date_created: Moment | None = None
    date_updated: Moment | None = None
    created_by: str | None = None
    updated_by: str | None = None

    @property
    def finished(self) -> bool:
        """Whether the status is final. Paused and unknown ones aren't."""
        return self.status in (BulkStatus.DONE, BulkStatus.ERROR)

    @property
    def total(self) -> int | None:
        """How many leads Close found to delete; None while it is loading them."""
        return self.n_leads if self.n_leads is not None else self.n_objects

    @property
    def processed(self) -> int:
        """How many leads are deleted so far. We assume that `n_objects…` mean the same as `n_leads…`."""
        return (self.n_leads_processed if self.n_leads is not None else self.n_objects_processed) or 0

    @property
    def progress(self) -> str:
        """The progress in words: ``205 of 241 leads``."""
        total = "an unknown number of" if self.total is None else f"{self.total:,}"
        return f"{self.processed:,} of {total} {'lead' if self.total == 1 else 'leads'}"


class ExportStatus(StrEnum):
    """The status of an export. Close lists these without defining them."""

    CREATED = "created"
    STARTED = "started"
    IN_PROGRESS = "in_progress"
    DONE = "done"
    ERROR = "error"


class Export(Resource):
    """An export: Close's asynchronous job that writes leads into a file to download."""

    id: Id
    status: Annotated[ExportStatus | str | None, Field(union_mode="left_to_right")] = None
    n_docs: Count | None = None
    n_docs_processed: Count | None = None
    # Whoever has this address can read the leads, so no log shows it. It expires within a minute.
    download_url: str | None = Field(default=None, repr=False)

    @property
    def finished(self) -> bool:
        """Whether the status is final. Unknown ones aren't."""
        return self.status in (ExportStatus.DONE, ExportStatus.ERROR)

    @property
    def total(self) -> int | None:
        """How many leads the export will have; None until Close has counted them."""
        return self.n_docs

    @property
    def processed(self) -> int:
        """How many leads are exported so far."""
        return self.n_docs_processed or 0


class LeadStatus(Resource):
    """A status a lead can have. Labels get renamed; ids stay."""

    id: Id
    label: str
    organization_id: str | None = None


class CustomField(Resource):
    """A custom field of leads, contacts or opportunities."""

    id: Id
    name: str
    type: str
    choices: list[str] | None = None


class OpportunityStatus(Resource):
    """A status an opportunity can have, in one of the organisation's pipelines."""

    id: Id
    label: str = ""


class SmartView(Resource):
    """A saved search. `s_query` wraps the query: `{query, results_limit, sort}`; it is null in legacy text views."""

    id: Id
    name: str
    type: str = "lead"
    s_query: dict[str, Any] | None = None
    is_user_dependent: bool | None = None


class Membership(Resource):
    """A user's place in an organisation. Built-in roles have words as ids, such as `admin`."""

    user_id: str | None = None
    organization_id: str | None = None
    role_id: str | None = None
    permissions_granted: list[str] | None = None


class Organization(Resource):
    """An organisation with its members."""

    id: Id
    name: str = ""
    memberships: list[Membership] = []


class Me(Resource):
    """The user whose key this is."""

    id: Id
    email: str | None = None
    memberships: list[Membership] = []


class ListPage(Resource):
    """A page of a list that is read by offset."""

    data: list[dict[str, Any]]
    has_more: StrictBool


class Event(Resource):
    """An entry of Close's event log. Its instants come without a time zone; they are UTC."""

    object_id: str | None = None
    date_updated: Moment
    bulk_action_id: str | None = Field(default=None, validation_alias=AliasPath("meta", "bulk_action_id"))
    """The bulk delete that caused it, if one did."""


class EventPage(Resource):
    """A page of the event log, newest first."""

    data: list[Event]
    cursor_next: str | None = None


class SearchPage(Resource):
    """A page of a search. It has the count only on request; the limit doesn't apply to the count."""

    data: list[dict[str, Any]]
    cursor: str | None = None
    count_total: Count | None = Field(default=None, validation_alias=AliasPath("count", "total"))
