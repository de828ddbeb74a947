"""Where the Prefect UI shows a run or an artifact."""

from urllib.parse import urlsplit
from uuid import UUID

from prefect.settings import PREFECT_API_URL, PREFECT_UI_URL


def page_of_run(run_id: UUID | str) -> str:
    """The page of a run; see `_page`."""
    return _page(f"runs/flow-run/{run_id}")


def page_of_artifact(artifact_id: UUID) -> str:
    """The page of an artifact; see `_page`."""
    return _page(f"artifacts/artifact/{artifact_id}")


def _page(path: str) -> str:
    """A link for a page in the same UI: a path, with the base path of PREFECT_UI_URL, if there is one.

    Workers may know the server under a name that no browser does. Where PREFECT_UI_URL names another host than the
    API's, as on Prefect Cloud, it is an address.
    """
    ui, api = urlsplit(PREFECT_UI_URL.value() or ""), urlsplit(PREFECT_API_URL.value() or "")
    base = ui.path if ui.netloc == api.netloc else ui.geturl()
    return f"{base.rstrip('/')}/{path}"
