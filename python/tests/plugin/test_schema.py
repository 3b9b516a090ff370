"""Options are validated when an executor is made, against the schema of the CRD."""

import json
import re
from pathlib import Path

import covalent_taskgroup_plugin
import pytest
from covalent_taskgroup_plugin.taskgroup import TaskGroupExecutor

SCHEMA = json.loads(Path(covalent_taskgroup_plugin.__file__).with_name("schema.json").read_text())


def volume(source):
    return {"volumes": [{"name": "data", **source}]}


@pytest.mark.parametrize(
    ("pod", "problem"),
    [
        ({"tollerations": []}, 'pod: unknown field "tollerations", did you mean "tolerations"?'),
        ({"nodeselector": {}}, 'pod: unknown field "nodeselector", did you mean "nodeSelector"?'),
        ({"node_selector": {}}, 'pod: unknown field "node_selector", did you mean "nodeSelector"?'),
        (
            {"tolerations": [{"opertor": "Exists"}]},
            'pod.tolerations[0]: unknown field "opertor", did you mean "operator"?',
        ),
        ({"resources": {"limit": {}}}, 'pod.resources: unknown field "limit", did you mean "limits"?'),
        (
            volume({"persistentVolumeClaim": {"claimNam": "c"}}),
            'pod.volumes[0].persistentVolumeClaim: unknown field "claimNam", did you mean "claimName"?',
        ),
        (
            volume({"persistentVolumeClaim": {}}),
            'pod.volumes[0].persistentVolumeClaim: the required field "claimName" is',
        ),
        (
            volume({"hostPath": {"path": "/"}}),
            'pod.volumes[0]: unknown field "hostPath"; the fields are configMap, csi,',
        ),
        ({"hostNetwork": True}, 'pod: unknown field "hostNetwork"; the fields are affinity, '),
        ({"initContainers": []}, 'pod: unknown field "initContainers"; the fields are '),
        ({"hostUsers": "no"}, "pod.hostUsers is 'no': it must be True or False"),
        (
            {"terminationGracePeriodSeconds": True},
            "pod.terminationGracePeriodSeconds is True: it must be a whole number",
        ),
        ({"terminationGracePeriodSeconds": 0}, "pod.terminationGracePeriodSeconds is 0: it must be at least 1"),
        ({"nodeSelector": {"gpu": True}}, "pod.nodeSelector['gpu'] is True: it must be a string"),
        ({"env": {"A": "1"}}, "pod.env is {'A': '1'}: it must be a list"),
        ({"imagePullPolicy": "always"}, 'it must be one of Always, IfNotPresent, Never, did you mean "Always"?'),
        (
            {"resources": {"limits": {"memory": "4 GB"}}},
            "pod.resources.limits['memory'] is '4 GB': it must be a quantity",
        ),
        (
            {"resources": {"limits": {"cpu": [1]}}},
            "pod.resources.limits['cpu'] is [1]: it must be a number or a string",
        ),
        ({"workingDir": "a"}, "pod.workingDir is 'a': it must match ^/"),
    ],
    ids=str,
)
def test_a_pod_that_is_refused(pod, problem):
    with pytest.raises(ValueError, match=re.escape(problem)) as refused:
        TaskGroupExecutor(pod=pod)
    assert len(str(refused.value).splitlines()) == 1


def test_all_problems_are_reported():
    with pytest.raises(ValueError, match="tolerations") as refused:
        TaskGroupExecutor(pod={"tollerations": [], "labels": {"a": 1}})
    assert len(str(refused.value).splitlines()) == 2


def test_the_runner():
    with pytest.raises(ValueError, match='runner: unknown field "preloads", did you mean "preload"'):
        TaskGroupExecutor(runner={"preloads": ["numpy"]})
    with pytest.raises(ValueError, match=r"runner.preload\[1\] is 'a-b': it must match"):
        TaskGroupExecutor(runner={"preload": ["a", "a-b"]})
    assert TaskGroupExecutor(runner={"preload": ["a.b"], "flushSeconds": 1}).runner["flushSeconds"] == 1


def test_a_pod_with_every_kind_of_value():
    pod = {
        "image": "i",
        "hostUsers": False,
        "nodeSelector": {"a": "b"},
        "labels": {"any.key/at-all": "1"},
        "resources": {"limits": {"memory": "4Gi", "cpu": 1.5, "nvidia.com/gpu": 1}, "requests": {"cpu": "500m"}},
        "volumes": [
            {"name": "a", "emptyDir": {"sizeLimit": "1Gi"}},
            {"name": "b", "csi": {"driver": "d", "volumeAttributes": {"any": "key"}}},
        ],
        "volumeMounts": [{"name": "a", "mountPath": "/a"}],
        "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "k", "whenUnsatisfiable": "DoNotSchedule"}],
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{}]}}},
        "securityContext": {"runAsUser": 1000, "supplementalGroups": [2]},
    }
    assert TaskGroupExecutor(pod=pod).pod == pod


def patterns(schema):
    if isinstance(schema, dict):
        if isinstance(schema.get("pattern"), str):
            yield schema["pattern"]
        for value in schema.values():
            yield from patterns(value)


def test_python_reads_every_pattern_of_the_api():
    found = set(patterns(SCHEMA))
    assert len(found) > 3
    assert all(re.compile(pattern) for pattern in found)
