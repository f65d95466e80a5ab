"""What a JSON Schema says of an object, as a list of members, and an example laid out for a page."""

import json
import pathlib
from typing import NamedTuple


class Member(NamedTuple):
    path: str
    kind: str
    text: str


def resolved(schema, folder, home):
    """A schema with its reference followed, and the document it stands in; what stands beside the reference wins."""
    schema = {} if schema is True else schema
    while "$ref" in schema:
        file, _, pointer = schema["$ref"].partition("#")
        home = json.loads((folder / file).read_text()) if file else home
        found = home
        for key in filter(None, pointer.split("/")):
            found = found[key]
        schema = {**found, **{key: value for key, value in schema.items() if key != "$ref"}}
    return schema, home


def kind(schema, folder, home):
    """`string`, `number or null`, `array of string`."""
    types = schema.get("type", "any value")
    types = types if isinstance(types, list) else [types]
    names = []
    for name in types:
        if name == "array" and "items" in schema:
            items, inner = resolved(schema["items"], folder, home)
            name = f"array of {kind(items, folder, inner)}"
        names.append(name)
    return " or ".join(names)


def members(schema, folder: pathlib.Path, home=None, prefix=""):
    """Every member with its path: `tensors[].name`, `tensors.NAME`."""
    home = home or schema
    for key, value in schema.get("properties", {}).items():
        yield from describe(value, folder, home, prefix + key)
    if isinstance(schema.get("additionalProperties"), dict):
        yield from describe(schema["additionalProperties"], folder, home, prefix + "NAME")


def describe(schema, folder, home, path):
    found, home = resolved(schema, folder, home)
    values = f" Values: {', '.join(found['enum'])}." if "enum" in found else ""
    yield Member(path, kind(found, folder, home), found.get("description", "") + values)
    yield from members(found, folder, home, path + ".")
    depth = "[]"
    while "items" in found:
        found, home = resolved(found["items"], folder, home)
        yield from members(found, folder, home, f"{path}{depth}.")
        depth += "[]"


def example(value, width=72):
    """JSON in lines of at most `width` columns where that is possible: what fits stays on one line."""
    return layout(value, "", width)


def layout(value, indent, width, lead="", tail=""):
    line = indent + lead + json.dumps(value, ensure_ascii=False) + tail
    if len(line) <= width or not isinstance(value, (dict, list)) or not value:
        return [line]
    brackets = "{}" if isinstance(value, dict) else "[]"
    lines = [indent + lead + brackets[0]]
    pairs = list(value.items()) if isinstance(value, dict) else [(None, each) for each in value]
    for index, (key, each) in enumerate(pairs):
        name = "" if key is None else json.dumps(key) + ": "
        lines += layout(each, indent + "  ", width, name, "," if index + 1 < len(pairs) else "")
    return lines + [indent + brackets[1] + tail]
