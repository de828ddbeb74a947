"""Settings of the Prefect server that recovery rests on: `make deploy` names those without which it was started."""

from collections.abc import Iterator
from typing import Any, cast

import prefect.settings
from prefect.client.orchestration import SyncPrefectClient
from prefect.exceptions import PrefectHTTPStatusError
from prefect.utilities.collections import get_from_dict
from pydantic_core import to_jsonable_python

from deployments.up.environment import SERVER

WITHOUT = {
    "PREFECT_SERVER_EVENTS_EXPIRED_BUCKET_BUFFER": "runs that stop while it is down stay Running",
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "a run that starts deleting while it restarts may block later ones",
}
"""What happens without each of them."""


def missing(server: SyncPrefectClient) -> Iterator[str]:
    """Yield a sentence for each that has Prefect's default; none if they aren't shown, as by Prefect Cloud."""
    try:
        shown = server.request("GET", cast("Any", "/admin/settings")).json()
    except (PrefectHTTPStatusError, ValueError):
        return
    for name, consequence in WITHOUT.items():
        setting = getattr(prefect.settings, name)
        if get_from_dict(shown, setting.accessor) == to_jsonable_python(setting.default()):
            yield (
                f"This Prefect server was started without {name}={SERVER[name]}: {consequence}. "
                "See docs/in-an-existing-prefect.md."
            )
