"""The forms in which users write amounts, durations and locations."""

from datetime import timedelta
from pathlib import Path

import pytest
from covalent_taskgroup_plugin.options import executor_options
from covalent_taskgroup_plugin.taskgroup import TaskGroupExecutor


@pytest.mark.parametrize(
    ("name", "written", "stored"),
    [
        ("cpu", 2, "2"),
        ("cpu", 0.5, "0.5"),
        ("cpu", 1e-3, "0.001"),
        ("cpu", 100, "100"),
        ("cpu", "500m", "500m"),
        ("memory", 4, "4G"),
        ("memory", 3.75, "3750M"),
        ("memory", 0.0005, "500k"),
        ("memory", 1 / 3, "333333k"),
        ("memory", 1e-9, "1k"),
        ("memory", "4 GB", "4G"),
        ("memory", "16GiB", "16Gi"),
        ("memory", "512MB", "512M"),
        ("memory", "1g", "1G"),
        ("memory", "512 mib", "512Mi"),
        ("memory", "64 KB", "64k"),
        ("memory", "1Gi", "1Gi"),
        ("memory", "2e9", "2e9"),
        ("memory", "", ""),
        ("disk", "20 GB", "20G"),
        ("shared_memory", 8, "8G"),
        ("gpu", "1", 1),
        ("gpu", 2.0, 2),
        ("retries", "3", 3),
        ("time_limit", 600.0, 600),
        ("time_limit", 0.5, 1),
        ("time_limit", -1, -1),
        ("time_limit", "90m", 5400),
        ("time_limit", "1h30m", 5400),
        ("time_limit", "1d", 86400),
        ("time_limit", "600", 600),
        ("time_limit", timedelta(minutes=2), 120),
        ("task_seconds", "2m", 120),
        ("ttl_seconds_after_finished", "1h", 3600),
        ("oom_memory_factor", 1.5, "1.5"),
        ("oom_memory_factor", 2, "2"),
        ("labels", {"team": "a", "gpu": True, "n": 1}, {"team": "a", "gpu": "true", "n": "1"}),
        ("node_selector", {"gpu": True}, {"gpu": "true"}),
        ("secrets", ("a", "b"), ["a", "b"]),
        ("cache_dir", Path("/c"), "/c"),
        ("assets", "/srv/covalent", "file:///srv/covalent"),
        ("assets", Path("/srv"), "file:///srv"),
        ("assets", "S3://bucket/a", "s3://bucket/a"),
        ("assets", "gs://bucket/a", "gs://bucket/a"),
        ("assets", "azblob://c/p", "azblob://c/p"),
        ("assets", "file:///srv/größe", "file:///srv/gr%C3%B6%C3%9Fe"),
        ("outputs", "/srv/a b", "file:///srv/a%20b"),
        ("outputs", "file:///srv/a%20b", "file:///srv/a%20b"),
        ("outputs", "/srv/100%", "file:///srv/100%25"),
        ("cache_dir", "/home/jörg", "/home/jörg"),
        ("local_paths", {"/data": "/n f s"}, {"/data": "/n f s"}),
        ("download_limit", "1 GB", "1G"),
        ("outputs", "https://h/results", "https://h/results"),
        ("image", None, ""),
        ("env", None, {}),
        ("ttl_seconds_after_finished", None, 86400),
    ],
)
def test_forms_that_are_accepted(name, written, stored):
    value = getattr(TaskGroupExecutor(**{name: written}), name)
    assert value == stored
    assert type(value) is type(stored)


@pytest.mark.parametrize(
    ("name", "written", "problem"),
    [
        ("cpu", "two", "cpu is 'two': it must be a number of CPUs"),
        ("cpu", True, "cpu is True: it must be a number of CPUs"),
        ("cpu", -1, "cpu is -1: it must not be negative"),
        ("memory", "512m", 'which is 0.512 bytes: did you mean "512M"?'),
        ("memory", "4", 'which is 4 bytes: did you mean "4G"?'),
        ("memory", "lots", 'it must be a number of bytes, such as "4 GB"'),
        ("memory", 0, "memory is 0: it must be a positive number of GB"),
        ("memory", float("nan"), "memory is nan"),
        ("memory", [4], "memory is [4]: it must be a number of bytes"),
        ("gpu", 1.5, "gpu is 1.5: it must be a whole number"),
        ("gpu", -1, "gpu is -1: it must be at least 0"),
        ("retries", True, "retries is True: it must be a whole number"),
        ("retries", float("inf"), "retries is inf: it must be a whole number"),
        ("time_limit", "soon", 'it must be a number of seconds, or a duration such as "90m"'),
        ("time_limit", float("inf"), "time_limit is inf"),
        ("time_limit", "", "time_limit is ''"),
        ("oom_memory_factor", {}, "oom_memory_factor is {}: it must be a number"),
        ("execution", "parallel", 'it must be one of Sequential, Parallel, did you mean "Parallel"?'),
        ("secrets", "s3", "secrets is 's3': it must be a list"),
        ("presign", 1, "presign is 1: it must be True or False"),
        ("assets", "file://srv/x", 'the path must be absolute, did you mean "file:///srv/x"?'),
        ("assets", "srv/x", "it must be a URI such as s3://bucket/prefix, or an absolute path"),
        ("assets", "mine://store", "it must begin with one of file://, s3://"),
        ("assets", "https://h/x?sig=1", "must not have a query or fragment"),
        ("assets", "https://u:p@h/x", "credentials do not belong into a URI"),
        ("assets", "s3:///x", "the host or bucket is missing"),
        ("local_paths", {"/data": "nfs"}, "local_paths has 'nfs': it must be an absolute path"),
    ],
)
def test_forms_that_are_refused(name, written, problem):
    with pytest.raises((TypeError, ValueError), match=f"^{name}") as refused:
        TaskGroupExecutor(**{name: written})
    assert problem in str(refused.value)


def test_the_kubeconfig_is_below_the_home_of_the_dispatcher(monkeypatch):
    executor = TaskGroupExecutor(kubeconfig="~/.kube/team")
    monkeypatch.setenv("HOME", "/home/dispatcher")
    assert executor.kubeconfig == "~/.kube/team"
    assert executor_options(executor.__dict__)["kubeconfig"] == "/home/dispatcher/.kube/team"
