#!/usr/bin/env python3
"""Writes the manual pages of the commands: python3 man/pages.py PROGRAM.

Options come from the program itself, examples from man/examples (sessions that the tests run), members of the JSON output
from schemas/, and everything else from man/sections.mdoc.
"""

import json
import pathlib
import re
import subprocess
import sys
import textwrap

import jsonmembers

ROOT = pathlib.Path(__file__).resolve().parent.parent
DATE = "November 29, 2026"
# In the order that mdoc asks for.
SECTIONS = ["ENVIRONMENT", "FILES", "EXIT STATUS", "EXAMPLES", "SEE ALSO"]


def escaped(text):
    """Text for mdoc: backslashes, hyphens of options, characters beyond ASCII."""
    text = text.replace("\\", "\\e")
    text = re.sub(r"(?<![\w-])--?(?=[a-z])", lambda match: "\\-" * len(match[0]), text)
    return "".join(c if c.isascii() else f"\\[u{ord(c):04X}]" for c in text)


def guarded(line):
    """A line that is no macro."""
    return "\\&" + line if line.startswith((".", "'")) else line


def prose(text):
    """A paragraph with a line for each sentence."""
    sentences = re.split(r"(?<=[.!?])\s+", " ".join(text.split()))
    lines = []
    for sentence in sentences:
        lines += textwrap.wrap(escaped(sentence), 78, break_long_words=False, break_on_hyphens=False)
    return [guarded(line) for line in lines]


def paragraphs(text):
    """Paragraphs with a macro between them."""
    lines = []
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        lines += ([".Pp"] if lines else []) + prose(paragraph)
    return lines


def literal(lines):
    """Lines that keep their breaks."""
    return [".Bd -literal -offset indent"] + [guarded(escaped(line)) for line in lines] + [".Ed"]


def is_option(argument):
    return argument["kind"] != "positional"


def shown(command):
    return [argument for argument in command["arguments"] if argument["shouldDisplay"]]


def spelled(name):
    return name["name"] if name["kind"] == "short" else "-" + name["name"]


def value_of(argument):
    return f" Ar {argument['valueName']}" if argument["kind"] == "option" else ""


def synopsis(command):
    """Operands and required options first, everything else in brackets."""
    lines = []
    for argument in sorted(shown(command), key=lambda argument: argument["isOptional"]):
        dots = " ..." if argument["isRepeating"] else ""
        if is_option(argument):
            name = spelled(argument["preferredName"])
            body = f"Fl {name}{value_of(argument)}{dots}"
        else:
            body = f"Ar {argument['valueName']}{dots}"
        lines.append(f".Op {body}" if argument["isOptional"] else f".{body}")
    return lines


def facts(argument):
    """The values and the default, where the help does not say them itself."""
    parts = []
    values = argument.get("allValues") or []
    if values and not argument.get("allValueDescriptions"):
        parts.append(f"Values: {', '.join(values)}.")
    default = argument.get("defaultValue")
    if default is not None and is_option(argument) and argument["kind"] == "option":
        parts.append(f"Default: {default}.")
    return " ".join(parts)


def merged(arguments):
    """Flags that share a description, such as --symmetric and --asymmetric, become one item."""
    result = []
    for argument in arguments:
        last = result[-1] if result else {}
        if argument["kind"] == last.get("kind") == "flag" and argument.get("abstract", "") == last.get("abstract"):
            result[-1] = last | {"names": last["names"] + argument["names"]}
        else:
            result.append(argument)
    return result


def item(argument):
    """An argument or an option of the list."""
    if is_option(argument):
        short_first = sorted(argument["names"], key=lambda name: name["kind"] != "short")
        lines = [".It " + " , ".join(f"Fl {spelled(name)}" for name in short_first) + value_of(argument)]
    else:
        lines = [f".It Ar {argument['valueName']}"]
    text = argument.get("abstract", "").strip()
    if text and not text.endswith((".", ":")):
        text += "."
    lines += paragraphs(f"{text} {facts(argument)}".strip())
    if argument.get("discussion"):
        lines += [".Pp"] + paragraphs(argument["discussion"])
    descriptions = argument.get("allValueDescriptions") or {}
    if descriptions:
        lines += [".Bl -tag -width 6n"]
        for value in argument["allValues"]:
            lines += [f".It Cm {value}"] + prose(descriptions.get(value, ""))
        lines += [".El"]
    return lines


def lists(command):
    """Arguments, then options under the titles of their groups."""
    groups = {}
    for argument in shown(command):
        title = argument.get("sectionTitle") or ("Options" if is_option(argument) else "Arguments")
        groups.setdefault(title.capitalize(), []).append(argument)
    lines = []
    for title in sorted(groups, key=lambda title: title != "Arguments"):
        lines += [f".Ss {title}", ".Bl -tag -width 6n"]
        for argument in merged(groups[title]):
            lines += item(argument)
        lines += [".El"]
    return lines


def commands(subcommands):
    """The list of all commands on the first page."""
    lines = [".Sh COMMANDS", ".Bl -tag -width 6n"]
    for command in subcommands:
        lines += [f".It Xr resect-{command['commandName']} 1"] + prose(command["abstract"])
    return lines + [".El"]


def json_output(name):
    """The members of the output of --json, and an example."""
    path = f"schemas/{name}.schema.json"
    schema = json.loads((ROOT / path).read_text())
    lines = [".Sh JSON OUTPUT", "With", ".Fl -json"] + prose(schema["description"])
    items = []
    for member in jsonmembers.members(schema, ROOT / "schemas"):
        items += [f".It Va {member.path} Pq {member.kind}"] + prose(member.text)
    if items:
        lines += [".Bl -tag -width 6n"] + items + [".El"]
    lines += [".Pp", "For example, with lists shortened:"]
    return lines + literal(session("$ " + schema["$comment"]) + jsonmembers.example(schema["examples"][0]))


def session(line):
    """A command line, continued where it is too long; between quotes a line ends without a mark, which would be part of the text."""
    parts = textwrap.wrap(line, 68, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
    isquoted = [" ".join(parts[:number + 1]).count("'") % 2 for number in range(len(parts))]
    return [part if quoted else part + " \\" for part, quoted in zip(parts[:-1], isquoted)] + parts[-1:]


def examples(name):
    """The sessions of man/examples: what a comment says, then its commands."""
    lines = []
    for line in (ROOT / f"man/examples/{name}.txt").read_text().splitlines():
        if line.startswith("# "):
            lines += [".Pp"] + prose(line[2:].rstrip("."))
            lines[-1] += ":"
        elif line.startswith("$ "):
            lines += literal(session(line))
    lines = "\n".join(lines).replace(".Ed\n.Bd -literal -offset indent\n", "").split("\n")
    return lines[1:]


class Sections:
    """man/sections.mdoc; a line `.\\" for: NAME, --OPTION` limits the next item to pages of these commands or options."""

    def __init__(self, path):
        parts = re.split(r"^\.Sh (.*)\n", path.read_text(), flags=re.M)
        self.texts = dict(zip(parts[1::2], parts[2::2]))

    def lines(self, section, keys):
        lines, wanted, is_new = [], True, False
        for line in self.texts[section].splitlines():
            limit = re.fullmatch(r'\.\\" for: (.*)', line)
            if limit:
                wanted, is_new = bool(keys & set(re.split(r",\s*", limit[1]))), True
                continue
            if line.startswith((".It", ".Xr", ".El")):
                wanted, is_new = wanted or not is_new, False
            if wanted:
                lines.append(line)
        return lines


def references(lines, page):
    """The pages that are named, without this one, sorted, with commas between."""
    names = sorted({tuple(line.split()[1:3]) for line in lines} - {(page, "1")}, key=lambda pair: (pair[1], pair[0]))
    found = [f".Xr {name} {number} ," for name, number in names]
    found[-1] = found[-1].removesuffix(" ,")
    return found


def page(command, subcommands, sections):
    name = command["commandName"]
    is_root = name == "resect"
    title = name if is_root else f"resect-{name}"
    keys = {name, "every" if is_root else "command"}
    for argument in command["arguments"]:
        keys |= {"-" + spelled(each) for each in argument.get("names", [])}
        if not is_option(argument):
            keys.add(argument["valueName"].upper())
    abstract = command["abstract"].rstrip(".")
    lines = [
        '.\\" Made by man/pages.py; do not edit.', f".Dd {DATE}", f".Dt {title.upper()} 1", ".Os", ".Sh NAME", f".Nm {title}",
        f".Nd {escaped(abstract[0].lower() + abstract[1:])}", ".Sh SYNOPSIS", f".Nm {'resect' if is_root else f'resect {name}'}",
    ]
    lines += [".Ar command", ".Op Ar options"] if is_root else synopsis(command)
    lines += [".Sh DESCRIPTION"] + paragraphs(command.get("discussion") or command["abstract"])
    lines += lists(command)
    lines += commands(subcommands) if is_root else json_output(name)
    for section in SECTIONS:
        lines.append(f".Sh {section}")
        if section == "EXAMPLES":
            lines += examples(name)
        elif section == "SEE ALSO":
            lines += references(sections.lines(section, keys), title)
        else:
            lines += sections.lines(section, keys)
    (ROOT / f"man/{title}.1").write_text("\n".join(lines) + "\n")
    return f"{title}.1"


def main():
    root = json.loads(subprocess.run([sys.argv[1], "--experimental-dump-help"], check=True, capture_output=True).stdout)["command"]
    subcommands = [each for each in root["subcommands"] if each["commandName"] != "help" and each["shouldDisplay"]]
    sections = Sections(ROOT / "man/sections.mdoc")
    written = {page(command, subcommands, sections) for command in [root] + subcommands}
    for old in (ROOT / "man").glob("*.1"):
        if old.name not in written:
            old.unlink()


main()
