"""The pages of the documentation: their links, their commands, and the blocks in them."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Page:
    """A Markdown file, named by its path from the top of the project."""

    name: str

    @property
    def path(self) -> Path:
        return ROOT / self.name

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def commands(self) -> list[str]:
        """What it shows after a prompt."""
        return re.findall(r"^ *\$ (.*)$", self.text, re.MULTILINE)

    def blocks(self, language: str) -> list[str]:
        """The code blocks in this *language*."""
        return re.findall(rf"^```{language}\n(.*?)^```$", self.text, re.MULTILINE | re.DOTALL)

    @property
    def prose(self) -> str:
        """The page without its code blocks."""
        return re.sub(r"^ *```.*?^ *```$", "", self.text, flags=re.MULTILINE | re.DOTALL)

    @property
    def links(self) -> list[tuple[Path, str]]:
        """The files and anchors of the project that it links to."""
        targets = [each.partition("#") for each in re.findall(r"\]\((?!https?:)([^)]+)\)", self.prose)]
        return [((self.path.parent / file).resolve() if file else self.path, anchor) for file, _, anchor in targets]

    @property
    def anchors(self) -> set[str]:
        """The anchors of its headings, as GitHub makes them."""
        headings = re.findall(r"^#+ (.*)$", self.prose, re.MULTILINE)
        return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}

    def linked(self) -> "list[Page]":
        """The pages that it links to."""
        files = [file for file, _ in self.links if file.suffix == ".md"]
        return [Page(str(file.relative_to(ROOT))) for file in files if file.is_file()]


README = Page("README.md")
DOCS = [Page(f"docs/{path.name}") for path in sorted((ROOT / "docs").glob("*.md"))]
PAGES = [README, *DOCS]
"""What people read who use this. Everything in it is run, or checked as far as it can be."""
ALL = [*PAGES, *(Page(name) for name in ("CONTRIBUTING.md", "CHANGELOG.md", "deployments/sandbox/README.md"))]
TEXT = "\n".join(page.text for page in PAGES)
COMMANDS = sorted({command for page in PAGES for command in page.commands})
"""Each command that a page shows, once."""


def commands_of(program: str) -> list[str]:
    """The commands that begin with *program*."""
    return [command for command in COMMANDS if command.startswith(f"{program} ")]
