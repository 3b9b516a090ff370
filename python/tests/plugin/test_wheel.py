"""The wheels of bin/wheels: that of this platform; all with TASKGROUP_TEST_WHEELS=all (`make plugin-wheels-test`)."""

import email
import http.client
import json
import os
import platform
import socket
import stat
import struct
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import covalent_taskgroup_plugin
import pytest

ROOT = Path(__file__).parents[3]
WHEELS = ROOT / "bin" / "wheels"
QEMU = ROOT / ".cache" / "qemu" / "qemu-aarch64-static"
VERSION = covalent_taskgroup_plugin.__version__
PROGRAM = "covalent_taskgroup_plugin/bin/taskgroup"
TAGS = {
    "linux/amd64": "manylinux_2_17_x86_64.manylinux2014_x86_64.musllinux_1_1_x86_64",
    "linux/arm64": "manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64",
    "darwin/amd64": "macosx_12_0_x86_64",
    "darwin/arm64": "macosx_12_0_arm64",
}
MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
NATIVE = f"{platform.system().lower()}/{MACHINES[platform.machine()]}"
# e_machine of ELF, cputype of Mach-O.
ELF_MACHINES = {"amd64": 62, "arm64": 183}
MACH_MACHINES = {"amd64": 0x01000007, "arm64": 0x0100000C}
PT_INTERP, LC_BUILD_VERSION = 3, 0x32


def wheel_of(name):
    path = WHEELS / f"covalent_taskgroup_plugin-{VERSION}-py3-none-{TAGS[name]}.whl"
    if name != NATIVE and os.environ.get("TASKGROUP_TEST_WHEELS") != "all":
        # A wheel of an earlier build may be there.
        pytest.skip("a wheel of another platform: make plugin-wheels-test")
    return path


def elf(program):
    """Return (machine, types of its segments) of a 64-bit little-endian ELF file."""
    assert program[:6] == b"\x7fELF\x02\x01"
    (machine,) = struct.unpack_from("<H", program, 18)
    (start,) = struct.unpack_from("<Q", program, 32)
    size, count = struct.unpack_from("<HH", program, 54)
    return machine, {struct.unpack_from("<I", program, start + i * size)[0] for i in range(count)}


def mach(program):
    """Return (cputype, oldest macOS as (major, minor)) of a 64-bit Mach-O file."""
    magic, machine, _, _, count = struct.unpack_from("<5I", program)
    assert magic == 0xFEEDFACF
    at = 32
    for _ in range(count):
        command, size = struct.unpack_from("<2I", program, at)
        if command == LC_BUILD_VERSION:
            (oldest,) = struct.unpack_from("<I", program, at + 12)
            return machine, (oldest >> 16, oldest >> 8 & 255)
        at += size
    raise AssertionError("it does not say which macOS it needs")


@pytest.mark.parametrize("name", TAGS)
def test_what_is_in_a_wheel(name):
    with zipfile.ZipFile(wheel_of(name)) as wheel:
        info = f"covalent_taskgroup_plugin-{VERSION}.dist-info"
        about = email.message_from_bytes(wheel.read(f"{info}/WHEEL"))
        assert about.get_all("Tag") == [f"py3-none-{tag}" for tag in TAGS[name].split(".")]
        assert about["Root-Is-Purelib"] == "false"
        metadata = email.message_from_bytes(wheel.read(f"{info}/METADATA"))
        assert (metadata["Version"], metadata["License-Expression"]) == (VERSION, "Apache-2.0")
        # Without it, pip installs a release that answers Covalent 0.240 with 422.
        assert "fastapi<0.130" in metadata.get_all("Requires-Dist")
        assert metadata["Description-Content-Type"] == "text/markdown"
        assert "TaskGroupExecutor" in metadata.get_payload()
        assert wheel.read(f"{info}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
        sources = {
            f"covalent_taskgroup_plugin/{p.name}" for p in (ROOT / "python/covalent_taskgroup_plugin").glob("*.py*")
        }
        names = {n for n in wheel.namelist() if not n.startswith(info)}
        assert names == sources | {
            PROGRAM,
            "covalent_taskgroup_plugin/py.typed",
            "covalent_taskgroup_plugin/schema.json",
        }
        assert stat.S_IMODE(wheel.getinfo(PROGRAM).external_attr >> 16) == 0o755
        program = wheel.read(PROGRAM)
    system, architecture = name.split("/")
    if system == "linux":
        machine, segments = elf(program)
        assert machine == ELF_MACHINES[architecture]
        # A static program: no loader, and so no C library of any age.
        assert PT_INTERP not in segments
    else:
        machine, oldest = mach(program)
        assert machine == MACH_MACHINES[architecture]
        assert oldest <= (12, 0)


def new_environment(folder, *install):
    """Make an environment with a package of ours and, behind it, what this one has: no index is asked."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    where = subprocess.check_output([python, "-c", "import sysconfig; print(sysconfig.get_path('platlib'))"], text=True)
    Path(where.strip(), "others.pth").write_text(sysconfig.get_path("purelib"))
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-index", "--no-deps"]
    subprocess.run([*pip, *install], check=True, cwd=folder)
    return python


def surroundings(tmp_path):
    """Return the environment of a machine where nothing else is installed."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("TASKGROUP_", "XDG_", "PYTHON"))}
    return {**kept, "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}


def say(python, program, tmp_path):
    """Run a program with a Python and return the JSON that it prints last."""
    out = subprocess.run(
        [python, "-c", program], env=surroundings(tmp_path), cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert out.returncode == 0, out.stderr
    return json.loads(out.stdout.splitlines()[-1])


SHAKE_HANDS = """
import asyncio, http.client, json, socket
import covalent as ct
from covalent.executor import _executor_manager
from covalent_taskgroup_plugin import bridge, process
connection = http.client.HTTPConnection("bridge")
connection.sock = socket.socket(socket.AF_UNIX)
connection.sock.connect(bridge.PROCESS.start())
connection.request("GET", "/v1/version")
answer = connection.getresponse()
spoken = answer.headers[bridge.HEADER] == str(bridge.PROTOCOL)
known = type(_executor_manager.get_executor("taskgroup")).__name__
print(json.dumps([process.find_binary(), json.load(answer)["protocol"], spoken, known, process.__file__]))
"""


def test_an_installed_wheel_starts_its_own_bridge(tmp_path):
    python = new_environment(tmp_path / "venv", wheel_of(NATIVE))
    binary, protocol, spoken, known, module = say(python, SHAKE_HANDS, tmp_path)
    assert binary == str(Path(module).with_name("bin") / "taskgroup")
    assert binary.startswith(str(tmp_path))
    assert (protocol, spoken, known) == (1, True, "TaskGroupExecutor")


def bridge_version(*command, folder):
    """Return what GET /v1/version answers from a bridge that is started by a command."""
    path = folder / "bridge.sock"
    with subprocess.Popen([*command, "executor", "--listen", f"unix://{path}"], stderr=subprocess.PIPE) as process:
        try:
            # Its first line says that it listens.
            assert b'"Serving"' in process.stderr.readline()
            connection = http.client.HTTPConnection("bridge")
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.connect(str(path))
            connection.request("GET", "/v1/version")
            return json.load(connection.getresponse())
        finally:
            process.terminate()


@pytest.mark.skipif(not QEMU.exists(), reason="no emulator of arm64: make plugin-wheels-test")
def test_the_program_for_arm64_runs(tmp_path):
    with zipfile.ZipFile(wheel_of("linux/arm64")) as wheel:
        program = Path(wheel.extract(PROGRAM, tmp_path))
    program.chmod(0o755)
    words = subprocess.check_output(
        [QEMU, program, "version", "--client"], text=True, timeout=60, stderr=subprocess.DEVNULL
    )
    assert "linux/arm64" in words
    assert bridge_version(QEMU, program, folder=tmp_path)["protocol"] == 1


FIND = """
import json
from covalent_taskgroup_plugin import process
try:
    print(json.dumps(process.find_binary()))
except RuntimeError as err:
    print(json.dumps(str(err)))
"""


def test_an_installation_from_source_says_what_it_lacks(tmp_path):
    # The tests' own environment has the package from the sources, which have no program.
    found = say(sys.executable, FIND, tmp_path)
    assert found.startswith("the program taskgroup is not installed: ")
    assert "wheel for this platform" in found
    assert "PATH" in found
    assert "$TASKGROUP_BRIDGE" in found
