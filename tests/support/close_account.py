"""The sandbox as a test sees it, and leads to put into it."""

from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, cast

import httpx

ADMIN = "api_sandbox.admin"
USER = "api_sandbox.user"
OTHER = "api_sandbox.other"
LONG_AGO = (datetime.now(UTC) - timedelta(days=800)).isoformat()


def lead(name: str, status: str = "Potential", **more: Any) -> dict[str, Any]:
    """A lead that nothing protects: old, and never spoken to."""
    return {"name": name, "status_label": status, "date_created": LONG_AGO, "date_updated": LONG_AGO, **more}


class Served(Protocol):
    """A sandbox, in this process or in another."""

    @property
    def url(self) -> str:
        """The address of the API."""
        ...

    @property
    def base(self) -> str:
        """The address of the server."""
        ...


class CloseAccount:
    """The sandbox as a test sees it: an organisation to fill, faults to order, a journal to read."""

    def __init__(self, server: Served) -> None:
        self.url = server.url
        self.base = server.base
        self._http = httpx.Client(base_url=server.base, auth=(ADMIN, ""), timeout=30)

    def close(self) -> None:
        self._http.close()

    def reset(self, *, leads: int = 0, seed: int = 7) -> None:
        """An organisation with statuses, fields and Smart Views, and this many made-up leads; nothing is limited."""
        self._control("POST", "reset", {"leads": leads, "seed": seed})
        self._control("POST", "limits", {"enabled": False})

    def add(self, *leads: dict[str, Any]) -> list[str]:
        """Load leads, given as Close lead objects; returns their ids."""
        return cast("list[str]", self._control("POST", "leads", list(leads)))

    def fault(self, method: str, path: str, fault: str, times: int = 1, **more: Any) -> None:
        """Let the next *times* requests to *path* go wrong."""
        self._control("POST", "faults", [{"method": method, "path": path, "fault": fault, "times": times, **more}])

    def clear_faults(self) -> None:
        """Nothing goes wrong any more."""
        self._control("DELETE", "faults")

    def jobs(self, **behaviour: Any) -> None:
        """How the next bulk deletes behave."""
        self._control("POST", "jobs", behaviour)

    def limit_rates(self, **settings: Any) -> None:
        """Limit the rate of requests from here on, as Close does."""
        self._control("POST", "limits", {"enabled": True, **settings})

    def behaviour(self, **switches: Any) -> None:
        """Answer otherwise where nobody outside Close knows the answer."""
        self._control("POST", "behaviour", switches)

    def requests(self) -> list[dict[str, Any]]:
        """The journal, oldest first."""
        return cast("list[dict[str, Any]]", self._control("GET", "requests"))

    def forget_requests(self) -> None:
        """Empty the journal."""
        self._control("DELETE", "requests")

    def writes(self) -> list[str]:
        """Every request that may change something: all but reads and searches."""
        return [
            f"{each['method']} {each['path']}"
            for each in self.requests()
            if each["method"] != "GET" and not each["path"].endswith("/data/search/")
        ]

    def posts(self, path: str) -> list[dict[str, Any]]:
        """The POSTs to *path*."""
        return [each for each in self.requests() if each["method"] == "POST" and each["path"].endswith(path)]

    def is_asked_for_its_bulk_delete(self) -> bool:
        """Whether a run waits for a bulk delete."""
        return any("/bulkdelete_" in each["path"] for each in self.requests())

    def puts(self) -> int:
        """How often something was to be changed, such as the status of a bulk delete."""
        return sum(each["method"] == "PUT" for each in self.requests())

    def leads(self) -> dict[str, dict[str, Any]]:
        """The leads that are there, by id."""
        found: dict[str, dict[str, Any]] = {}
        while True:
            page = self.get("/lead/", _skip=len(found), _limit=100)
            found.update({each["id"]: each for each in page["data"]})
            if not page["has_more"]:
                return found

    def organization_id(self) -> str:
        """The organisation's id."""
        return str(self.get("/me/")["organizations"][0]["id"])

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        """An answer of the API."""
        return self._http.get(f"/api/v1{path}", params=params).raise_for_status().json()

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        """What somebody else does in Close."""
        return self._http.post(f"/api/v1{path}", json=body).raise_for_status().json()

    def put(self, path: str, **body: Any) -> dict[str, Any]:
        """What somebody else changes in Close."""
        return self._http.put(f"/api/v1{path}", json=body).raise_for_status().json()

    def _control(self, method: str, what: str, body: Any = None) -> Any:
        answer = self._http.request(method, f"/sandbox/{what}", json=body)
        answer.raise_for_status()
        return answer.json()
