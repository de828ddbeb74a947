"""Reading what people write: files as UTF-8 in any locale, YAML and JSON in which no key occurs twice.

Of a key that occurs twice Python keeps the last: of two ``keep:`` the first would be lost silently.
"""

import json
import sys
from pathlib import Path
from typing import Any, cast

import yaml

UTF_8 = "utf-8"
MARK = "\ufeff"  # Windows writes it before the text; PyYAML skips it, json doesn't


class Unreadable(Exception):
    """The text can't be read as what it should be. The message is the end of a sentence that begins with its name."""


def text_of(file: Path) -> str:
    """The text in *file*. Raises `Unreadable`."""
    try:
        return file.read_text(encoding=UTF_8)
    except OSError as error:
        raise Unreadable(f"can't be read ({error.strerror or type(error).__name__})") from None
    except ValueError as error:
        raise Unreadable(_undecodable(error)) from None


def text_of_stdin() -> str:
    """What comes on stdin. Raises `Unreadable`."""
    try:
        return sys.stdin.buffer.read().decode(UTF_8)
    except UnicodeDecodeError as error:
        raise Unreadable(_undecodable(error)) from None


def _undecodable(error: ValueError) -> str:
    return "is not UTF-8 text: save it as UTF-8" if isinstance(error, UnicodeDecodeError) else "has no usable name"


def json_of(text: str) -> object:
    """The value that *text* is in JSON. Raises `Unreadable`."""
    try:
        return json.loads(text.removeprefix(MARK), object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        raise Unreadable(f"is not JSON (line {error.lineno}, column {error.colno})") from None
    except RecursionError:
        raise Unreadable("is nested too deeply") from None
    except ValueError:  # a number of more than 4,300 digits
        raise Unreadable("is not JSON that can be used") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise Unreadable(f"has the key {key!r} twice in one object: remove one")
        found[key] = value
    return found


def yaml_of(text: str) -> object:
    """The value that *text* is in YAML. Raises `Unreadable`."""
    try:
        return cast("object", yaml.load(text, Loader=_Loader))  # noqa: S506 - it is a safe loader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        tab = ": write blanks in place of the tab" if r"'\t'" in (error.problem or "") else ""
        raise Unreadable(f"is not YAML{where}{tab}") from None
    except RecursionError:
        raise Unreadable("is nested too deeply") from None
    except (yaml.YAMLError, ValueError):  # a character that YAML forbids; a date that there isn't
        raise Unreadable("is not YAML that can be used") from None


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, which refuses a key that occurs twice. A merge (``<<``) may still be overridden."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            line = key.start_mark.line + 1
            if key.value in lines:
                raise Unreadable(f"has the key {key.value!r} twice, on lines {lines[key.value]} and {line}: remove one")
            lines[key.value] = line
        return node
