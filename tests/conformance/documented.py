"""What Close's documents say of an answer: `close_api.yaml`, read, and a judge for the sandbox's answers."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import yaml
from jsonschema import Draft202012Validator, ValidationError

HERE = Path(__file__).parent
DOCUMENT: dict[str, Any] = yaml.safe_load((HERE / "close_api.yaml").read_text())
OPERATIONS: dict[str, list[str]] = yaml.safe_load((HERE / "close_operations.yaml").read_text())
README = (HERE.parent.parent / "deployments" / "sandbox" / "README.md").read_text()
WITH_TOTAL = ("Lead", "Opportunity")


class Operation(NamedTuple):
    """A method and a path, as the document writes them."""

    method: str
    path: str

    @classmethod
    def read(cls, text: str) -> "Operation":
        """From ``GET /lead/{id}/``."""
        return cls(*text.split(" "))

    def __str__(self) -> str:
        """As it was read."""
        return f"{self.method} {self.path}"


def left_out_section() -> str:
    """What the sandbox's README says that it leaves out."""
    return README.partition("## What it leaves out\n")[2].partition("\n## ")[0]


ANSWERED = [Operation.read(text) for text in DOCUMENT["answers"]]
LEFT_OUT = [Operation.read(text) for text in re.findall("`([A-Z]+ /[^`?]+)`", left_out_section())]


def schema(shape: str | list[str]) -> dict[str, Any]:
    """The JSON Schema for a shape, such as ``Lead``, or for a page of it, ``[Lead]``."""
    if isinstance(shape, str):
        return {"$ref": f"#/$defs/{shape}", "$defs": DOCUMENT["$defs"]}
    properties: dict[str, Any] = {
        "data": {"type": "array", "items": {"$ref": f"#/$defs/{shape[0]}"}},
        "has_more": {"type": "boolean"},
    }
    if shape[0] in WITH_TOTAL:
        properties["total_results"] = {"type": "integer"}
    return {
        "type": "object",
        "properties": properties,
        "required": ["data", "has_more"],
        "additionalProperties": False,
        "$defs": DOCUMENT["$defs"],
    }


def faults(shape: str | list[str], found: Any) -> list[str]:
    """What about *found* isn't as the document says: where, and why. Empty when all is well."""
    judge: Any = Draft202012Validator(schema(shape))
    errors: list[ValidationError] = list(judge.iter_errors(found))
    return [f"{'/'.join(str(step) for step in error.absolute_path)}: {error.message}" for error in errors]


def assert_documented(operation: Operation, answer: httpx.Response, status: int = 200) -> None:
    """The answer has this status, is JSON, and has the shape that goes with both."""
    assert answer.status_code == status, f"{operation}: {answer.status_code} {answer.text[:200]}"
    assert answer.headers["content-type"] == "application/json"
    shape = DOCUMENT["answers"][str(operation)] if status == 200 else DOCUMENT["errors"][status]
    assert faults(shape, answer.json()) == []
