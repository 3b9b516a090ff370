"""The clockwork of python/bench: its times, its watch and its table."""

import argparse
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


def test_executors_are_in_the_order_of_the_table():
    import bench

    assert bench.executors_of("s3,local,gateway") == ("local", "gateway", "s3")
    for text in ("", "taskgroup,s4"):
        with pytest.raises(argparse.ArgumentTypeError, match="local,dask,taskgroup,gateway,s3"):
            bench.executors_of(text)


def test_objects_of_volume_and_bucket_are_files(tmp_path, monkeypatch):
    import stores

    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    (tmp_path / "bucket/bench").mkdir(parents=True)
    (tmp_path / "bucket/bench/manifest.json").write_text("{}")
    on_volume, in_bucket = stores.on_volume(str(tmp_path), "64Mi"), stores.in_bucket(str(tmp_path), "64Mi")
    assert on_volume.read(f"file://{tmp_path}/bucket/bench/manifest.json") == b"{}"
    assert in_bucket.read("s3://bucket/bench/manifest.json") == b"{}"
