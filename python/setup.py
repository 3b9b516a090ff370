"""The wheel's platform; everything else is in pyproject.toml.

The package is pure Python but for the program that it may bring along, so that its wheel
is of a platform and of no Python's ABI. hack/wheels.py sets TASKGROUP_WHEEL_PLATFORM to
the tags of the platform; without it there is no program, and the wheel is for any.
"""

import os

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel

PLATFORM = os.environ.get("TASKGROUP_WHEEL_PLATFORM", "")


class PlatformDistribution(Distribution):
    """One that installs where packages of a platform go."""

    def has_ext_modules(self):
        """Return whether this is of a platform."""
        return bool(PLATFORM)


class PlatformWheel(bdist_wheel):
    """A wheel for any Python 3 of a platform."""

    def get_tag(self):
        """Return the tags of interpreter, ABI and platform."""
        return "py3", "none", PLATFORM or "any"


setup(distclass=PlatformDistribution, cmdclass={"bdist_wheel": PlatformWheel})
