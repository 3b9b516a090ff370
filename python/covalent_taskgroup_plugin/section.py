"""Attributes of other releases: of the section in covalent.conf, and of executors that Covalent has stored.

covalent.conf belongs to a user and not to an environment, and the dispatcher makes an executor of the section before
each send, receive and cancel, also if the workflow has one of its own. A section that another release wrote must
therefore not be refused: running groups could be neither received nor cancelled.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping
from typing import Any

from covalent._shared_files import logger
from covalent._shared_files.config import get_config

from .options import DEFAULTS, checked, tolerated, unknown_argument

NAME = "executors.taskgroup"


def attributes(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of an executor that is made with arguments.

    Raises:
        TypeError, ValueError: as checked does, unless Covalent passes the section of covalent.conf.
    """
    try:
        return checked({**DEFAULTS, **arguments})
    except (TypeError, ValueError) as err:
        if not _is_section(arguments):
            raise
        _warn(f"[{NAME}] of covalent.conf: {_reason(arguments, err)}")
        return copy.deepcopy({**DEFAULTS, **tolerated(arguments)})


def stored(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of an executor that any release stored."""
    # Most attributes of a newer release are unset.
    unknown = sorted(name for name, value in record.items() if name not in DEFAULTS and value)
    if unknown:
        _warn(f"an executor of another release has {', '.join(unknown)}, which this release of the plugin ignores")
    return copy.deepcopy({**DEFAULTS, **{name: value for name, value in record.items() if name in DEFAULTS}})


def _is_section(arguments: Mapping[str, Any]) -> bool:
    """Return whether arguments are those of Covalent's get_executor: all of the section, and no other."""
    try:
        section = get_config(NAME)
    except KeyError:
        return False
    given = {name: value for name, value in arguments.items() if name not in DEFAULTS or value is not None}
    return (
        isinstance(section, dict)
        and bool(section)
        and all(
            given.get(name, DEFAULTS.get(name)) == section.get(name, DEFAULTS.get(name)) for name in {*given, *section}
        )
    )


def _reason(arguments: Mapping[str, Any], err: Exception) -> str:
    unknown = [name for name in arguments if name not in DEFAULTS]
    if unknown:
        return f"{unknown_argument(unknown[0])} (unknown keys are ignored: {', '.join(unknown)})"
    return f"{err}; groups of this section cannot be sent"


@functools.lru_cache(maxsize=64)
def _warn(text: str) -> None:
    """Log a warning once: the dispatcher makes several executors for each node."""
    logger.app_log.warning(text)
