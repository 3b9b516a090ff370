"""Validation of the options pod and runner against schema.json, which `make generate` makes of the CRD.

Only what is independent of the cluster is checked: names, types, enumerations, patterns and bounds. The API server
evaluates the other rules when a group is sent.
"""

from __future__ import annotations

import difflib
import functools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

Schema = Mapping[str, Any]

_KINDS = {
    "string": "a string",
    "boolean": "True or False",
    "integer": "a whole number",
    "number": "a number",
    "array": "a list",
    "object": "a dictionary",
}
_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "array": list,
    "object": dict,
}


@functools.lru_cache(maxsize=1)
def _schemas() -> dict[str, Any]:
    text = Path(__file__).with_name("schema.json").read_text(encoding="utf-8")
    schemas: dict[str, Any] = json.loads(text)
    return schemas


def check(option: str, value: Any) -> None:
    """Validate an option: "pod", "runner" or "execution".

    Raises:
        ValueError: a field is unknown or missing, or has a wrong value. The text has a line for each, with its path.
    """
    problems = list(_problems(option, value, _schemas()[option]))
    if problems:
        raise ValueError("\n".join(problems))


def fields(option: str) -> list[str]:
    """Return the names of the fields of an option, "pod" or "runner"."""
    return list(_schemas()[option]["properties"])


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return ", did you mean "..."?" with the name that is most similar; "" if none is similar."""
    by_folded = {folded(known): known for known in names}
    close = difflib.get_close_matches(folded(name), by_folded, n=1, cutoff=0.65)
    return f', did you mean "{by_folded[close[0]]}"?' if close else ""


def folded(name: str) -> str:
    """Return a name in the form in which camelCase, as in the API, and snake_case, as in this package, are the same."""
    return name.replace("_", "").replace("-", "").lower()


def _problems(path: str, value: Any, schema: Schema) -> Iterator[str]:
    kinds = schema.get("type", "")
    if kinds and not any(_is(kind, value) for kind in kinds.split("|")):
        yield f"{path} is {value!r}: it must be {' or '.join(_KINDS[kind] for kind in kinds.split('|'))}"
    elif isinstance(value, dict):
        yield from _problems_of_object(path, value, schema)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _problems(f"{path}[{index}]", item, schema.get("items", {}))
    else:
        yield from _problems_of_scalar(path, value, schema)


def _is(kind: str, value: Any) -> bool:
    return isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _is_quantity(schema: Schema) -> bool:
    return schema.get("type") in ("number|string", "integer|string")


def _problems_of_object(path: str, value: dict[str, Any], schema: Schema) -> Iterator[str]:
    known, values = schema.get("properties", {}), schema.get("values")
    for name, field in value.items():
        if name in known:
            yield from _problems(f"{path}.{name}", field, known[name])
        elif values is not None:
            yield from _problems(f"{path}[{name!r}]", field, values)
        elif known:
            meant = did_you_mean(name, known)
            yield f'{path}: unknown field "{name}"' + (meant or f"; the fields are {', '.join(sorted(known))}")
    # A required field that is missing is usually the unknown one, misspelled.
    misspelled = values is None and known and not value.keys() <= known.keys()
    for name in schema.get("required", ()):
        if name not in value and not misspelled:
            yield f'{path}: the required field "{name}" is missing'


def _problems_of_scalar(path: str, value: Any, schema: Schema) -> Iterator[str]:
    allowed = schema.get("enum")
    if allowed is not None and value not in allowed:
        meant = did_you_mean(str(value), [str(known) for known in allowed])
        yield f"{path} is {value!r}: it must be one of {', '.join(map(str, allowed))}{meant}"
    elif isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        form = 'be a quantity such as "500m", "4G" or "4Gi"' if _is_quantity(schema) else f"match {schema['pattern']}"
        yield f"{path} is {value!r}: it must {form}"
    elif isinstance(value, (int, float)):
        low, high = schema.get("minimum"), schema.get("maximum")
        if low is not None and value < low:
            yield f"{path} is {value!r}: it must be at least {low:g}"
        if high is not None and value > high:
            yield f"{path} is {value!r}: it must be at most {high:.0f}"
