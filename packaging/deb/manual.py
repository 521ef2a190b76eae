"""Write manual pages and completions of commands, from their parsers: `manual.py ROOT PACKAGE EPOCH NAME=PARSER...`.

PARSER, as MODULE:NAME, is a function that returns an argparse parser, or a click group. Every subcommand is a section
of the one page.
"""

from __future__ import annotations

import argparse
import gzip
import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click
import shtab
from click.shell_completion import BashComplete, ZshComplete

_PLACES = {"bash": "usr/share/bash-completion/completions/{}", "zsh": "usr/share/zsh/vendor-completions/_{}"}
_CLICK = {"bash": BashComplete, "zsh": ZshComplete}
_FILES = ("FILE", "config", "port_file", "DIRECTORY")
"""Metavars and names of arguments whose values are paths."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Documented:
    """A command or subcommand. `options` are what is written, and what it means."""

    name: str
    synopsis: str
    text: str
    options: list[tuple[str, str]]


def of_argparse(parser: argparse.ArgumentParser, name: str, help_: str = "") -> Iterator[Documented]:
    """Describe a command and, in order, its subcommands. `help_` is for one without a description."""
    formatter = argparse.HelpFormatter(prog=name, width=100_000)
    options, below = [], []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {one.dest: one.help or "" for one in action._choices_actions}
            below = [(word, one, helps.get(word, "")) for word, one in action.choices.items()]
            continue
        form = ", ".join(action.option_strings) or formatter._metavar_formatter(action, action.dest)(1)[0]
        if action.option_strings and action.nargs != 0:
            form += " " + formatter._format_args(action, action.dest.upper())
        if action.help is not argparse.SUPPRESS:
            options.append((form, formatter._expand_help(action) if action.help else ""))
    formatter.add_usage(parser.usage, parser._actions, parser._mutually_exclusive_groups, prefix="")
    synopsis = formatter.format_help().strip().removeprefix(name).strip()
    yield Documented(name=name, synopsis=synopsis, text=parser.description or help_, options=options)
    for word, one, text in below:
        yield from of_argparse(one, f"{name} {word}", text)


def of_click(command: click.Command, name: str, above: click.Context | None = None) -> Iterator[Documented]:
    """Describe a command and, in order, its subcommands."""
    context = click.Context(command, info_name=name.rpartition(" ")[2], parent=above)
    records = [one.get_help_record(context) for one in command.get_params(context)]
    yield Documented(
        name=name,
        synopsis=" ".join(command.collect_usage_pieces(context)),
        text=inspect.cleandoc(command.help or ""),
        options=[one for one in records if one is not None],
    )
    for word, one in sorted(getattr(command, "commands", {}).items()):
        if not one.hidden:
            yield from of_click(one, f"{name} {word}", context)


def page(commands: list[Documented], *, package: str, made: datetime) -> str:
    """Return the manual page in man(7) of a command, which comes first, and its subcommands."""
    first = commands[0]
    summary, _, text = first.text.removeprefix(f"{first.name}: ").partition("\n\n")
    lines = [f'.TH "{first.name.upper()}" 1 "{made:%Y-%m-%d}" "{package}" "Whence"', ".nh", ".ad l"]
    lines += [".SH NAME", _escaped(f"{first.name} - {' '.join(summary.split()).rstrip('.')}")]
    lines += [".SH SYNOPSIS", f".B {_escaped(first.name)}", _escaped(first.synopsis)]
    lines += [".SH DESCRIPTION", *_paragraphs(text or summary)]
    lines += [".SH OPTIONS", *_options(first)]
    if len(commands) > 1:
        lines.append(".SH COMMANDS")
    for one in commands[1:]:
        lines += [f'.SS "{_escaped(one.name)} {_escaped(one.synopsis)}"', *_paragraphs(one.text), *_options(one)]
    return "\n".join(line for line in lines if line) + "\n"


def _options(command: Documented) -> Iterator[str]:
    for form, meaning in command.options:
        yield from (".TP", f"\\fB{_escaped(form)}\\fR", _escaped(" ".join(meaning.split())) or "\\&")


def _paragraphs(text: str) -> Iterator[str]:
    """Yield a text's paragraphs. click's mark \\b keeps the lines of one as they are."""
    for paragraph in re.split(r"\n[ \t]*\n", text):
        if paragraph.startswith("\b"):
            yield from (".PP", ".nf", *map(_escaped, paragraph.splitlines()[1:]), ".fi")
        elif paragraph.strip():
            yield from (".PP", _escaped(" ".join(paragraph.split())))


def _escaped(text: str) -> str:
    """Return text with what roff would take for its own escaped, and options' dashes kept as ASCII."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq").replace("~", "\\(ti")
    escaped = escaped.replace("^", "\\(ha").replace("`", "\\(ga").replace("'", "\\(aq")
    return f"\\&{escaped}" if escaped.startswith(".") else escaped


def completion(parser: argparse.ArgumentParser | click.Command, name: str, shell: str) -> str:
    """Return the completion script of a shell. Those of click ask the command itself."""
    if isinstance(parser, click.Command):
        variable = f"_{name.upper().replace('-', '_')}_COMPLETE"
        return _CLICK[shell](parser, {}, name, variable).source()
    _complete_files(parser)
    return shtab.complete(parser, shell)


def _complete_files(parser: argparse.ArgumentParser) -> None:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for one in action.choices.values():
                _complete_files(one)
        elif action.metavar in _FILES or action.dest in _FILES or action.dest.endswith("_file"):
            action.complete = shtab.FILE  # type: ignore[attr-defined]  # shtab reads it


def main() -> int:
    root, package, epoch, *named = sys.argv[1:]
    made = datetime.fromtimestamp(int(epoch), UTC)
    for name, source in (one.split("=") for one in named):
        for place, content in _files(name, source, package=package, made=made):
            (Path(root) / place).parent.mkdir(parents=True, exist_ok=True)
            (Path(root) / place).write_bytes(content)
    return 0


def _files(name: str, source: str, *, package: str, made: datetime) -> Iterator[tuple[str, bytes]]:
    """Yield each file of a command: its place and its content."""
    module, attribute = source.split(":")
    found = getattr(importlib.import_module(module), attribute)
    parser = found if isinstance(found, click.Command) else found()
    commands = list(of_click(parser, name) if isinstance(parser, click.Command) else of_argparse(parser, name))
    text = page(commands, package=package, made=made)
    yield f"usr/share/man/man1/{name}.1.gz", gzip.compress(text.encode(), 9, mtime=0)
    for shell, place in _PLACES.items():
        yield place.format(name), completion(parser, name, shell).encode()


if __name__ == "__main__":
    sys.exit(main())
