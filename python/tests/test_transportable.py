"""The reader and writer of TransportableObjects against bytes that Covalent wrote."""

import base64
import collections
import dataclasses
import json
import pathlib
import subprocess
import sys

import cloudpickle
import pytest
from taskgroup_harness import text, transportable

GOLDEN = pathlib.Path(__file__).parents[2] / "contract" / "testdata"
INDEX = json.loads((GOLDEN / "transportable.json").read_text(encoding="utf-8"))

# The objects that Covalent pickled, if they can be compared.
VALUES = {
    "none": None,
    "number": 42,
    "float": 0.1,
    "text": "ünïcode 日本語 🙂\nline",
    "empty-text": "",
    "list": [1, "two", None, [3.0]],
    "dict": {"a": 1, "ü": [2]},
    "bytes": bytes(range(256)) * 4,
    "named": "Größe 日本語 🙂",
}

same_python = pytest.mark.skipif(
    not transportable.same_minor(INDEX["objects"]["none"]["python"]),
    reason="the golden pickles are of another minor version of Python",
)
same_bytes = pytest.mark.skipif(
    INDEX["objects"]["none"]["python"] != transportable.PYTHON_VERSION
    or cloudpickle.__version__ != INDEX["cloudpickle"],
    reason="equal bytes need the Python and cloudpickle that wrote the golden ones",
)


def golden(name):
    return GOLDEN / "transportable" / f"{name}.bin"


def parts(raw):
    """Split an archive into header, string and unpickled object."""
    string_at, data_at = int.from_bytes(raw[:8], "big"), int.from_bytes(raw[8:16], "big")
    return json.loads(raw[16:string_at]), raw[string_at:data_at].decode(), base64.b64decode(raw[data_at:])


def test_every_golden_object_is_known():
    functions = {"function", "lambda", "failing-function", "exception"}
    assert set(INDEX["objects"]) == set(VALUES) | functions


@same_python
@pytest.mark.parametrize("name", sorted(VALUES))
def test_reads_what_covalent_wrote(name):
    assert transportable.load(str(golden(name))) == VALUES[name]


@same_python
def test_calls_functions_that_covalent_wrote():
    assert transportable.load(str(golden("function")))(1, shift=10) == 13
    assert transportable.load(str(golden("lambda")))(4) == 8
    with pytest.raises(ValueError, match="boom"):
        transportable.load(str(golden("failing-function")))()


@same_bytes
@pytest.mark.parametrize("name", sorted(set(VALUES) - {"named"}))
def test_writes_the_bytes_that_covalent_wrote(name, tmp_path):
    size = transportable.dump(VALUES[name], str(tmp_path / "output"))
    raw = (tmp_path / "output").read_bytes()
    assert raw == golden(name).read_bytes()
    assert size == len(raw)


def test_leaves_no_part_beside_the_output(tmp_path):
    transportable.dump(1, str(tmp_path / "output"))
    assert [p.name for p in tmp_path.iterdir()] == ["output"]


def test_joins_the_pieces_of_a_large_object(tmp_path):
    value = bytes(3 << 20) + b"end"
    transportable.dump(value, str(tmp_path / "output"))
    assert parts((tmp_path / "output").read_bytes())[2] == cloudpickle.dumps(value)
    assert transportable.load(str(tmp_path / "output")) == value


def test_replaces_text_that_covalent_cannot_write(tmp_path):
    class Odd:
        __doc__ = property(lambda self: object())

        def __str__(self):
            return "lone \ud800"

    transportable.dump(Odd(), str(tmp_path / "output"))
    header, string, _ = parts((tmp_path / "output").read_bytes())
    assert string == "lone \\ud800"
    assert header["attrs"]["doc"].startswith("<object object")


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "only 0 bytes"),
        (b"x" * 15, "only 15 bytes"),
        (b"\xff" * 64, "offsets"),
        ((16).to_bytes(8, "big") + (8).to_bytes(8, "big") + b"data", "offsets 16 and 8"),
        ((18).to_bytes(8, "big") + (18).to_bytes(8, "big") + b"{}", "truncated"),
        ((18).to_bytes(8, "big") + (18).to_bytes(8, "big") + b"{}gASVA", "base64 is broken"),
    ],
    ids=["empty", "short", "far offsets", "offsets in disorder", "no data", "cut base64"],
)
def test_refuses_what_is_no_archive(raw, says, tmp_path):
    (tmp_path / "input").write_bytes(raw)
    with pytest.raises(transportable.NotTransportableError, match=says):
        transportable.load(str(tmp_path / "input"))


def test_refuses_every_truncation_of_the_offsets_and_header(tmp_path):
    raw = golden("number").read_bytes()
    data_at = int.from_bytes(raw[8:16], "big")
    for length in range(data_at + 1):
        (tmp_path / "input").write_bytes(raw[:length])
        with pytest.raises(transportable.NotTransportableError):
            transportable.load(str(tmp_path / "input"))


def test_reads_the_json_form_of_hooks():
    attributes = {
        "_object": base64.b64encode(cloudpickle.dumps([1, 2])).decode(),
        "_object_string": "[1, 2]",
        "_header": {"py_version": transportable.PYTHON_VERSION},
    }
    assert transportable.load_attributes(attributes) == [1, 2]
    attributes["_header"]["py_version"] = "3.2.1"
    with pytest.raises(transportable.VersionMismatchError, match=r"3\.2\.1"):
        transportable.load_attributes(attributes)


@pytest.mark.parametrize("attributes", [{}, {"_object": 1, "_header": {}}, {"_object": "ü", "_header": {}}, []])
def test_refuses_malformed_hooks(attributes):
    with pytest.raises(transportable.NotTransportableError):
        transportable.load_attributes(attributes)


def test_covalent_reads_ours_and_we_read_covalents(tmp_path):
    module = pytest.importorskip(
        "covalent._workflow.transportable_object", reason="covalent is not installed in this Python"
    )
    for name, value in VALUES.items():
        transportable.dump(value, str(tmp_path / name))
        raw = (tmp_path / name).read_bytes()
        theirs = module.TransportableObject.deserialize(raw)
        assert theirs.get_deserialized() == value
        assert theirs.object_string == str(value)
        assert module.TransportableObject(value).serialize() == raw
        (tmp_path / name).write_bytes(theirs.serialize())
        assert transportable.load(str(tmp_path / name)) == value


# Runs in a process of its own: the peak of its memory, in MiB, after a value was made and after it was used.
PEAK = """\
import sys
sys.path.insert(0, {harness!r})
from taskgroup_harness import transportable

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024

{code}
print(peak())
"""
SIZE = 200


def peak(code):
    harness = str(pathlib.Path(transportable.__file__).parents[1])
    program = PEAK.format(harness=harness, code=code)
    return float(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout)


@pytest.mark.parametrize("kind", ["bytes", "bytearray"])
def test_an_input_is_in_memory_once(kind, tmp_path):
    path = str(tmp_path / "input")
    transportable.dump(eval(kind)(SIZE << 20), path)
    assert peak(f"value = transportable.load({path!r}); assert len(value) == {SIZE << 20}") < 1.5 * SIZE


@pytest.mark.parametrize(
    "value",
    [f"b'x' * ({SIZE} << 20)", f"bytearray({SIZE} << 20)", "list(map(float, range(5_000_000)))"],
    ids=["bytes", "bytearray", "floats"],
)
def test_a_result_is_in_memory_once(value, tmp_path):
    made = peak(f"value = {value}")
    assert peak(f"value = {value}; transportable.dump(value, {str(tmp_path / 'output')!r})") < 1.25 * made


def test_texts_are_bounded(tmp_path):
    transportable.dump(bytes(10 << 20), str(tmp_path / "output"))
    header, string, _ = parts((tmp_path / "output").read_bytes())
    assert string.startswith("b'\\x00\\x00")
    assert string.endswith("...")
    assert len(string) == text.LIMIT
    # Its docstring is that of the type.
    assert header["attrs"]["doc"] == bytes.__doc__


def test_a_string_is_written_completely(tmp_path):
    """A sublattice returns its archive as a string, and Covalent reads it from there."""
    value = "x" * (4 * text.LIMIT)
    transportable.dump(value, str(tmp_path / "output"))
    assert parts((tmp_path / "output").read_bytes())[1] == value


def test_an_object_whose_texts_fail(tmp_path):
    class Fails:
        def __str__(self):
            raise RuntimeError("no string")

        def __getattr__(self, name):
            if name == "__name__":
                raise ValueError("no name")
            raise AttributeError(name)

    transportable.dump(Fails(), str(tmp_path / "output"))
    header, string, _ = parts((tmp_path / "output").read_bytes())
    assert string.endswith("Fails: no text: builtins.RuntimeError>")
    assert header["attrs"]["name"] == "<no __name__: builtins.ValueError>"


@dataclasses.dataclass
class Point:
    x: object
    y: object = 2


class OwnText(Point):
    def __repr__(self):
        return "own"


Pair = collections.namedtuple("Pair", "first second")
CYCLE = [1]
CYCLE.append(CYCLE)


@pytest.mark.parametrize(
    "value",
    [
        *VALUES.values(),
        (),
        (1,),
        (1, "a"),
        set(),
        {1},
        frozenset(),
        frozenset({1}),
        bytearray(b"x"),
        Point([1], {"a": Point(1)}),
        OwnText(1),
        Pair(1, [2]),
        collections.deque([1]),
        collections.OrderedDict(a=1),
        collections.Counter("aab"),
        type("Items", (list,), {})([1]),
        CYCLE,
        len,
        ValueError("x"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_text_of_a_small_object_is_its_str(value):
    assert text.of(value) == str(value)


@pytest.mark.parametrize(
    "value",
    [
        [0.5] * 10**6,
        {i: i for i in range(10**5)},
        Point([0.5] * 10**6),
        Pair("x" * 10**6, 2),
        collections.deque(range(10**6)),
        ["x" * 10**6] * 100,
        b"x" * 10**6,
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_text_of_a_large_object_is_bounded(value):
    assert len(text.of(value)) <= text.LIMIT


@pytest.mark.parametrize("error", [RuntimeError, RecursionError, KeyboardInterrupt, SystemExit])
def test_a_text_never_fails(error):
    class Fails:
        def __repr__(self):
            raise error

    assert text.of([Fails()]) == f"<builtins.list: no text: builtins.{error.__name__}>"


def test_a_full_disk_leaves_no_part(tmp_path):
    class Full:
        def __getattr__(self, name):
            raise OSError(28, "No space left on device")

    encoder = transportable._Encoder(str(tmp_path / "output.part"))
    encoder._file.close()
    encoder._file = Full()
    with pytest.raises(transportable.StorageError, match="No space left"):
        encoder.write(bytes(4 << 20))
    encoder.discard()
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_pickling_is_not_one_of_the_disk(tmp_path):
    class Fails:
        def __reduce__(self):
            raise FileNotFoundError(2, "its file")

    with pytest.raises(FileNotFoundError) as caught:
        transportable.dump(Fails(), str(tmp_path / "output"))
    assert not isinstance(caught.value, transportable.StorageError)
    assert list(tmp_path.iterdir()) == []


def test_base64_in_lines(tmp_path):
    """Other writers may wrap lines."""
    raw = golden("number").read_bytes()
    data_at = int.from_bytes(raw[8:16], "big")
    pickled = cloudpickle.dumps(list(range(10**6)))
    (tmp_path / "input").write_bytes(raw[:data_at] + base64.encodebytes(pickled))
    assert transportable.load(str(tmp_path / "input")) == list(range(10**6))


def test_pieces_of_all_sizes(tmp_path):
    encoder = transportable._Encoder(str(tmp_path / "output"))
    written = b"".join(bytes([size % 256]) * size for size in (1, 2, 3, 786431, 786432, 786433, 5, 1 << 21, 1))
    for size in (1, 2, 3, 786431, 786432, 786433, 5, 1 << 21, 1):
        assert encoder.write(bytes([size % 256]) * size) == size
    encoder.close()
    assert base64.b64decode((tmp_path / "output").read_bytes(), validate=True) == written
