"""The reader and writer of TransportableObjects against bytes that Covalent wrote."""

import base64
import json
import pathlib

import cloudpickle
import pytest
from taskgroup_harness import transportable

GOLDEN = pathlib.Path(__file__).parents[2] / "contract" / "testdata"
INDEX = json.loads((GOLDEN / "transportable.json").read_text(encoding="utf-8"))

# What Covalent was given, where a plain comparison can tell.
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
