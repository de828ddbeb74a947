"""The API: one module per kind of object."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.routing import BaseRoute

from deployments.sandbox.api import (
    account,
    bulk_deletes,
    children,
    custom_fields,
    events,
    exports,
    leads,
    search,
    smart_views,
)

ROUTES: Sequence[BaseRoute] = [
    each
    for module in (account, search, smart_views, custom_fields, leads, children, bulk_deletes, events, exports)
    for each in module.ROUTES
]
