"""How long lists of flags are laid out in help: one line each at 100 columns."""

from typing import TYPE_CHECKING

from cyclopts import Group

if TYPE_CHECKING:
    from cyclopts.help import HelpEntry, HelpPanel
    from rich.console import Console, ConsoleOptions


def one_line_each(title: str, text: str, position: int) -> Group:
    """A group of flags whose help says once, and not for each, that ``--no-`` before its name turns a flag off."""
    return Group(title, help=text, sort_key=position, help_formatter=_without_negatives)


def _without_negatives(console: "Console", options: "ConsoleOptions", panel: "HelpPanel") -> None:
    from cyclopts.help import ColumnSpec, DefaultFormatter
    from cyclopts.help.specs import DescriptionColumn

    names = ColumnSpec(renderer=_name, style="cyclopts.name", no_wrap=True)
    DefaultFormatter(column_specs=(names, DescriptionColumn))(console, options, panel)


def _name(entry: "HelpEntry") -> str:
    return " ".join(word for word in entry.display_labels_with_metavar if word not in entry.negative_names)
