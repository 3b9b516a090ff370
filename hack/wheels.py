"""Builds the wheels of Covalent's plugin, each with the program of its platform inside.

    wheels.py OUTPUT [PLATFORM...]     such as linux/amd64; all of PLATFORMS by default

The programs report the version in the environment variable VERSION, or the commit. The version of the
package is PLUGIN_VERSION, or that of the sources.
Needs Go and a Python with pip and setuptools, which is the one that runs this.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "covalent_taskgroup_plugin")

# Go's name of a platform to the wheel's. A static program needs no C library: any of glibc's and musl's age serves. The
# oldest macOS that Go 1.26 supports is 12.
PLATFORMS = {
    "linux/amd64": "manylinux_2_17_x86_64.manylinux2014_x86_64.musllinux_1_1_x86_64",
    "linux/arm64": "manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64",
    "darwin/amd64": "macosx_12_0_x86_64",
    "darwin/arm64": "macosx_12_0_arm64",
}

# What the linker sets: internal/version.
LINK_VERSION = "-X github.com/taskgroup-operator/taskgroup-operator/internal/version.Version="


def version() -> str:
    """Return the version that the programs report."""
    if os.environ.get("VERSION"):
        return os.environ["VERSION"]
    describe = ["git", "describe", "--tags", "--always", "--dirty"]
    found = subprocess.run(describe, cwd=ROOT, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "dev"


def release(package: Path) -> None:
    """Set the version of the package for a release."""
    if not os.environ.get("PLUGIN_VERSION"):
        return
    line = f'__version__ = "{os.environ["PLUGIN_VERSION"]}"'
    text, count = re.subn(r"^__version__ = .*$", line, package.read_text(encoding="utf-8"), flags=re.MULTILINE)
    if count != 1:
        sys.exit(f"{package} has no version")
    package.write_text(text, encoding="utf-8")


def settle(sources: Path) -> None:
    """Set the modes, which a wheel has: those of a checkout depend on Git and on the umask."""
    for path in sources.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


def build(platform: str, output: Path) -> None:
    """Build one wheel in a folder of its own, so that nothing is left among the sources."""
    system, _, architecture = platform.partition("/")
    with tempfile.TemporaryDirectory(prefix="taskgroup-wheel-") as scratch:
        sources = Path(scratch, "sources")
        for name in SOURCES:
            source = ROOT / "python" / name
            if source.is_dir():
                shutil.copytree(source, sources / name, ignore=shutil.ignore_patterns("__pycache__", "bin"))
            else:
                sources.mkdir(exist_ok=True)
                shutil.copyfile(source, sources / name)
        release(sources / "covalent_taskgroup_plugin" / "__init__.py")
        settle(sources)
        link = f"-s -w {LINK_VERSION}{version()}"
        program = sources / "covalent_taskgroup_plugin" / "bin" / "taskgroup"
        subprocess.run(
            ["go", "build", "-trimpath", "-buildvcs=false", "-ldflags", link, "-o", str(program), "./cmd/taskgroup"],
            cwd=ROOT,
            env={**os.environ, "CGO_ENABLED": "0", "GOOS": system, "GOARCH": architecture},
            check=True,
        )
        program.chmod(0o755)
        pip = [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--no-build-isolation",
        ]
        subprocess.run(
            [*pip, "--wheel-dir", str(output), str(sources)],
            # The time of every file, so that the same sources make the same wheel.
            env={**os.environ, "TASKGROUP_WHEEL_PLATFORM": PLATFORMS[platform], "SOURCE_DATE_EPOCH": "315532800"},
            check=True,
        )


def main() -> None:
    """Build what the command line asks for."""
    if len(sys.argv) < 2 or not set(sys.argv[2:]) <= PLATFORMS.keys():
        sys.exit(f"usage: wheels.py OUTPUT [{'|'.join(PLATFORMS)}]...")
    output = Path(sys.argv[1])
    # The files that setuptools writes, too.
    os.umask(0o022)
    for platform in sys.argv[2:] or PLATFORMS:
        print(f"==> building the wheel for {platform}", flush=True)
        build(platform, output)


if __name__ == "__main__":
    main()
