"""The clockwork of python/bench: its times, its watch and its table."""

import json
import time
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _found(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "bench"))


def test_times_have_fractions():
    import bench

    assert bench.rfc3339("1970-01-01T00:01:00.25Z") == 60.25
    assert bench.rfc3339("1970-01-01T00:01:00Z") == 60


def test_a_watch_keeps_when_it_was_first_told(tmp_path):
    import watch

    kubectl = tmp_path / "kubectl"
    events = [{"object": {"name": name, "n": n}} for n, name in enumerate(["a", "b", "a"])]
    lines = "\n".join(json.dumps(event) for event in events)
    kubectl.write_text(f"#!/bin/sh\ncat <<'END'\n{lines}\nEND\n")
    kubectl.chmod(0o755)
    before = time.time()
    seen = watch.Watch(str(kubectl), "/api/v1/pods")
    when, found = seen.first(lambda thing: thing["name"] == "a")
    assert (found["n"], before <= when <= time.time()) == (0, True)
    with pytest.raises(SystemExit):
        seen.first(lambda thing: thing["name"] == "c", seconds=0.01)
    seen.stop()


def test_a_phase_that_an_executor_does_not_have_is_empty(capsys):
    import bench

    bench.report(
        {
            "local": [{"executor": 0.1, "total": 1.0}, {"executor": 0.3, "total": 3.0}],
            "taskgroup": [{"pod": 0.5, "total": 2.0}],
        }
    )
    lines = {line.split()[0]: line.split()[-2:] for line in capsys.readouterr().out.splitlines() if line}
    assert lines["total"] == ["2000", "2000"]
    assert lines["pod"][-1] == "500"
    assert lines["executor"][-1] == "200"
