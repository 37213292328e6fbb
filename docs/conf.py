"""How `make docs` makes a site of these pages: Sphinx, with MyST for Markdown and docstrings for the reference."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from fastsmc.cli.app import app

WIDTH = 88
"""Columns of the commands' help on the site."""

_PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = _PROJECT["name"]
release = version = _PROJECT["version"]
author = copyright = "The fastsmc contributors"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon"]
root_doc = "index"
exclude_patterns = ["README.md"]  # the index for who reads the pages in the repository
html_theme = "furo"
html_title = f"{project} {release}"
html_copy_source = False
templates_path: list[str] = []

myst_enable_extensions = ["fieldlist"]
myst_heading_anchors = 3

# Names are written like `this` in docstrings, as in the pages.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
# Names that say more than what they stand for.
_NAMED = ("ArrayLike", "Flags", "I64", "Index", "Progress", "U8", "U16", "U32", "U64")
autodoc_type_aliases = {name: name for name in _NAMED}
autosummary_generate = False
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
python_display_short_literal_types = True
python_maximum_signature_line_length = 100


class Commands(SphinxDirective):
    """A section for each command, with the help that it prints."""

    def run(self) -> list[nodes.Node]:
        """The sections, in the order of the command line."""
        found = []
        for words, command in _commands(typer.main.get_command(app), ("fastsmc",)):
            title = " ".join(words)
            context = command.make_context(title, ["--help"], resilient_parsing=True, terminal_width=WIDTH)
            context.max_content_width = WIDTH
            section = nodes.section(ids=[nodes.make_id(title)], names=[title])
            section += nodes.title(text=title)
            section += nodes.literal_block(text=command.get_help(context), language="text")
            found.append(section)
        return found


def _commands(group: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, (*words, name))
        else:
            yield (*words, name), command


def _plain(*told: Any) -> tuple[str, str] | None:
    """A signature without what Sphinx 9 puts around a named type that stands in a union."""
    signature, returned = told[-2:]
    if signature is None:  # a module, a property
        return None
    wrapped = re.compile(r"TypeAliasForwardRef\('(\w+)'\)")
    return wrapped.sub(r"\1", signature), wrapped.sub(r"\1", returned or "")


def setup(site: Any) -> None:
    """Sphinx calls this once."""
    site.add_directive("commands", Commands)
    site.connect("autodoc-process-signature", _plain)
