"""Undocumented behaviour of Close, as switches.

Each switch is a question that Close's documentation leaves open. The default fits what is known; with the other values,
tests show what happens to a client if Close behaves differently.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Behaviour(BaseModel):
    """How the sandbox behaves where Close's behaviour is unknown."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    matching: Literal["at_loading", "at_processing"] = Field(
        default="at_loading",
        description="When a bulk delete decides which leads it deletes: once, while it is loading; or again for each "
        "lead when its turn comes, so that a lead which no longer matches is spared and not counted as processed.",
    )
    negated_empty_matches: bool = Field(
        default=True, description="Whether a negated field condition matches a lead whose field is empty."
    )
    bulk_delete_order: Literal["newest_first", "oldest_first", "unordered"] = Field(
        default="newest_first", description="The order of the list of bulk deletes."
    )
    undocumented_dates: Literal["kept", "ignored"] = Field(
        default="kept",
        description="Whether a new lead, contact or task keeps the date_created that it is sent with. Close documents "
        "the field for new opportunities, notes and calls only; its own scripts send it with all of them.",
    )
    index_lag_seconds: float = Field(
        default=0,
        ge=0,
        description="How long after a write the search still finds deleted leads and doesn't find new ones. Changes to "
        "existing leads are found at once. Reading a lead by its id never lags.",
    )
    echo: Literal["as_sent", "normalised", "microseconds", "space", "no_zone"] = Field(
        default="as_sent",
        description="How a bulk delete shows its s_query: as it was sent; with negate on every node and the keys in "
        "another order; or with its fixed_utc moments in another spelling: 2026-01-31T10:20:30.515000+00:00, with a "
        "space for the T, or without a zone.",
    )
    not_allowed_status: Literal[401, 403] = Field(
        default=403, description="The status for a good key whose user may not do what it asks."
    )
    pause: Literal["obeyed", "ignored", "refused"] = Field(
        default="obeyed",
        description="What PUT /bulk_action/delete/ID/ with the status paused or resuming does: it is done; it is "
        "answered with 200 and has no effect; or the method is not allowed (405).",
    )
    missing_s_query: Literal["refused", "all_leads"] = Field(
        default="refused",
        description="What a bulk delete without an s_query, or with a null or empty one, is: an error, or every lead.",
    )
    fixed_utc_microseconds: Literal["refused", "accepted"] = Field(
        default="refused",
        description="Whether a fixed_utc moment may have digits below the millisecond. Some clients report a refusal.",
    )
    largest_days_offset: int | None = Field(
        default=None,
        ge=0,
        description="The largest number of days in an offset; null for no limit. Some clients report that more than "
        "about 60 is refused.",
    )
    days_on_dates: Literal["days", "instants"] = Field(
        default="days",
        description="How a local day in a query is compared with a field of dates without a time: as a day; or "
        "as the instant at which it begins where the user is, with the field's date as midnight UTC.",
    )
    week_starts_on: Literal["monday", "sunday"] = Field(
        default="monday", description="The first day of this week and of last week in a query."
    )
    cursor_seconds: float = Field(default=30, gt=0, description="How long a search's cursor lives. Close says 30.")
    numbers_in_search: Literal["shown", "hidden", "refused"] = Field(
        default="shown",
        description="Whether a search shows, where they are asked for, the smart fields of a lead that count "
        "something, such as num_calls, or refuses to be asked for them. Exports have them; of searches it isn't "
        "documented.",
    )
    search_page_limit: int = Field(default=200, ge=1, description="The largest _limit of a search.")
