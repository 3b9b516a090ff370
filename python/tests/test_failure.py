"""The messages and bounds of failures."""

import json

import pytest
from taskgroup_harness import failure


@pytest.mark.parametrize(
    ("err", "want"),
    [
        (ValueError("boom"), "ValueError: boom"),
        (KeyError("ü"), "KeyError: 'ü'"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (json.JSONDecodeError("bad", "x", 0), "json.decoder.JSONDecodeError: bad: line 1 column 1 (char 0)"),
    ],
)
def test_exception_text(err, want):
    assert failure.exception_text(err) == want


def test_exception_text_of_an_exception_without_one():
    class MuteError(Exception):
        def __str__(self):
            raise RuntimeError

    assert "MuteError" in failure.exception_text(MuteError())


@pytest.mark.parametrize("text", ["a", "ü", "日", "🙂", "\ud800", "a🙂"])
@pytest.mark.parametrize("limit", [64, 65, 66, 67])
def test_bounded(text, limit):
    assert failure.bounded(text, limit) == text.encode("utf-8", errors="backslashreplace").decode()
    cut = failure.bounded("start " + text * 1000 + " end", limit)
    assert len(cut.encode("utf-8")) <= limit
    assert cut.startswith("start ")
    assert cut.endswith(" end")


def test_report_of_a_failure(tmp_path):
    path = tmp_path / "report.json"
    failed = failure.TaskFailed(failure.TASK_ERROR, "x" * 10_000, ValueError("boom \ud800"), code=1)
    failure.write_report(str(path), failed)
    report = json.loads(path.read_text(encoding="utf-8"))
    assert report["outcome"] == "failed"
    assert report["reason"] == "TaskError"
    assert len(report["message"]) <= failure.MAX_MESSAGE
    assert report["traceback"] == "ValueError: boom \\ud800\n"
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"]


def test_report_of_a_success(tmp_path):
    failure.write_report(str(tmp_path / "report.json"))
    assert json.loads((tmp_path / "report.json").read_text()) == {"outcome": "completed"}
