"""Amounts and durations in the forms that users write, as the forms that Kubernetes and Covalent read."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import Any, TypeGuard

_QUANTITY = re.compile(r"\+?(\d+(\.\d*)?|\.\d+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?\d{1,2})?")
_BYTES = re.compile(r"\+?((?:\d+(?:\.\d*)?|\.\d+))\s*([kKmMgGtTpPeE]i?)?[bB]?")
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)d)?(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?")
_SECONDS = (24 * 60 * 60, 60 * 60, 60, 1)
_PREFIXES = "num_kMGTPE"
# No container runs with less memory: a smaller number without a unit was meant to have one.
_SMALLEST = 1000**2


def cpus(name: str, value: Any) -> str:
    """Return a number of CPUs (2, 0.5, "500m") as a quantity.

    Raises:
        TypeError: it is neither a number nor a string.
        ValueError: it is no quantity.
    """
    if _is_number(value):
        return _plain(name, value)
    if not isinstance(value, str):
        raise TypeError(f'{name} is {value!r}: it must be a number of CPUs, such as 2, 0.5 or "500m"')
    text = value.strip()
    if text and not _QUANTITY.fullmatch(text):
        raise ValueError(f'{name} is {value!r}: it must be a number of CPUs, such as 2, 0.5 or "500m"')
    return text


def size(name: str, value: Any) -> str:
    """Return a number of bytes ("4 GB", "4GiB", "512Mi", or a number of GB) as a quantity.

    Raises:
        TypeError: it is neither a number nor a string.
        ValueError: it is no number of bytes, or less than one.
    """
    forms = 'it must be a number of bytes, such as "4 GB", "512MiB" or "16Gi"; a number without a unit counts GB'
    if _is_number(value):
        return _gigabytes(name, value)
    if not isinstance(value, str):
        raise TypeError(f"{name} is {value!r}: {forms}")
    text = value.strip()
    if text.endswith("m") and text[:-1].isdigit():
        raise ValueError(f'{name} is {value!r}, which is {int(text[:-1]) / 1000:g} bytes: did you mean "{text[:-1]}M"?')
    if text.isdigit() and int(text) < _SMALLEST:
        raise ValueError(f'{name} is {value!r}, which is {text} bytes: did you mean "{text}G"?')
    if not text or _QUANTITY.fullmatch(text):
        return text
    parts = _BYTES.fullmatch(text)
    if parts is None:
        raise ValueError(f"{name} is {value!r}: {forms}")
    return parts[1] + _unit(parts[2] or "")


def bytes_of(quantity: str) -> int:
    """Return the number of bytes of what size returns.

    Raises:
        ValueError: it is no quantity.
    """
    parts = _QUANTITY.fullmatch(quantity)
    if parts is None:
        raise ValueError(f"{quantity!r} is no quantity")
    unit = parts[3] or ""
    number = float(quantity[: len(quantity) - len(unit)])
    if unit.endswith("i"):
        number *= 1024.0 ** ("KMGTPE".index(unit[0]) + 1)
    elif unit[:1] in ("e", "E") and unit[1:]:
        number *= 10.0 ** int(unit[1:])
    elif unit:
        number *= 1000.0 ** (_PREFIXES.index(unit) - 3)
    return math.ceil(number)


def _unit(text: str) -> str:
    """Return a prefix in the spelling of Kubernetes: k, M, G, Ki, Mi, Gi and so on."""
    prefix = text[:1].upper()
    if text[1:]:
        return prefix + "i"
    return "k" if prefix == "K" else prefix


def count(name: str, value: Any) -> int:
    """Return a whole number (1, 1.0, "1").

    Raises:
        TypeError: it is no whole number.
    """
    if isinstance(value, str) and re.fullmatch(r"[+-]?\d+", value.strip()):
        return int(value)
    if _is_number(value) and math.isfinite(value) and value == int(value):
        return int(value)
    raise TypeError(f"{name} is {value!r}: it must be a whole number")


def seconds(name: str, value: Any) -> int:
    """Return a duration (600, 600.0, "90m", "1h30m", a timedelta) in whole seconds, rounded up.

    Raises:
        TypeError: it is neither a number, a string nor a timedelta.
        ValueError: it is no duration.
    """
    forms = 'it must be a number of seconds, or a duration such as "90m" or "1h30m"'
    if isinstance(value, timedelta):
        return math.ceil(value.total_seconds())
    if _is_number(value):
        if not math.isfinite(value):
            raise ValueError(f"{name} is {value!r}: {forms}")
        return math.ceil(value)
    if not isinstance(value, str):
        raise TypeError(f"{name} is {value!r}: {forms}")
    text = value.strip()
    if re.fullmatch(r"-?\d+(\.\d*)?", text):
        return math.ceil(float(text))
    parts = _DURATION.fullmatch(text)
    if not text or parts is None:
        raise ValueError(f"{name} is {value!r}: {forms}")
    return math.ceil(sum(float(part) * unit for part, unit in zip(parts.groups(), _SECONDS) if part))


def factor(name: str, value: Any) -> str:
    """Return a factor (1.5, "1.5") as text.

    Raises:
        TypeError: it is neither a number nor a string.
    """
    if _is_number(value):
        return _plain(name, value)
    if isinstance(value, str):
        return value.strip()
    raise TypeError(f"{name} is {value!r}: it must be a number, such as 1.5")


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _plain(name: str, value: float) -> str:
    """Return a number without an exponent, to the thousandth."""
    if not math.isfinite(value) or value < 0:
        raise ValueError(f"{name} is {value!r}: it must not be negative")
    return f"{value:.3f}".rstrip("0").rstrip(".")


def _gigabytes(name: str, value: float) -> str:
    """Return a number of GB, rounded to kB, in the largest unit in which it is a whole number."""
    if not math.isfinite(value) or value <= 0:
        raise ValueError(f"{name} is {value!r}: it must be a positive number of GB")
    number = max(1, round(value * 1000**2))
    for unit, width in (("G", 1000**2), ("M", 1000)):
        if number % width == 0:
            return f"{number // width}{unit}"
    return f"{number}k"
