"""The short arguments as fields of spec.pod and spec.runner."""

import json
import pathlib
import re

import pytest
from covalent_taskgroup_plugin.options import executor_options
from covalent_taskgroup_plugin.taskgroup import TaskGroupExecutor

# The Go tests of the API create groups with these pods.
CONTRACT = pathlib.Path(__file__).parents[3] / "contract/testdata/short_forms.json"


@pytest.mark.parametrize("case", json.loads(CONTRACT.read_text()), ids=lambda case: case["name"])
def test_pods_that_the_api_accepts(case):
    options = options_of(**case["arguments"])
    assert {name: options[name] for name in case["spec"]} == case["spec"]


def options_of(**arguments):
    return executor_options(TaskGroupExecutor(**arguments).__dict__)


def pod_of(**arguments):
    return options_of(**arguments)["pod"]


@pytest.mark.parametrize(
    ("arguments", "pod"),
    [
        ({"disk": "20 GB"}, {"resources": {k: {"ephemeral-storage": "20G"} for k in ("requests", "limits")}}),
        ({"gpu": 1, "gpu_resource": "amd.com/gpu"}, {"resources": {"limits": {"amd.com/gpu": "1"}}}),
        ({"secrets": ["s3", "hub"]}, {"envFrom": [{"secretRef": {"name": "s3"}}, {"secretRef": {"name": "hub"}}]}),
        (
            {"secret_env": {"TOKEN": "hub/token"}},
            {"env": [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "hub", "key": "token"}}}]},
        ),
        ({"workdir": "/w"}, {"workingDir": "/w"}),
        ({"service_account": "s"}, {"serviceAccountName": "s"}),
        ({"priority": "high"}, {"priorityClassName": "high"}),
        ({"image_pull_secrets": ["r"]}, {"imagePullSecrets": [{"name": "r"}]}),
        ({"node_selector": {"disk": "ssd"}}, {"nodeSelector": {"disk": "ssd"}}),
        (
            {"tolerations": ["gpu=true:NoSchedule", "gpu:NoExecute", "spot", {"operator": "Exists"}]},
            {
                "tolerations": [
                    {"key": "gpu", "operator": "Equal", "value": "true", "effect": "NoSchedule"},
                    {"key": "gpu", "operator": "Exists", "effect": "NoExecute"},
                    {"key": "spot", "operator": "Exists"},
                    {"operator": "Exists"},
                ]
            },
        ),
        (
            {"shared_memory": "8 GiB"},
            {
                "volumes": [{"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": "8Gi"}}],
                "volumeMounts": [{"name": "shared-memory", "mountPath": "/dev/shm"}],
            },
        ),
    ],
    ids=str,
)
def test_short_forms(arguments, pod):
    assert pod_of(**arguments) == pod


@pytest.mark.parametrize(
    ("text", "source", "read_only"),
    [
        ("data", {"persistentVolumeClaim": {"claimName": "data"}}, False),
        ("data:ro", {"persistentVolumeClaim": {"claimName": "data"}}, True),
        ("claim:tmp", {"persistentVolumeClaim": {"claimName": "tmp"}}, False),
        ("secret:s3", {"secret": {"secretName": "s3"}}, False),
        ("configmap:settings", {"configMap": {"name": "settings"}}, False),
        ("tmp", {"emptyDir": {}}, False),
        ("tmp:10 GB", {"emptyDir": {"sizeLimit": "10G"}}, False),
        ({"csi": {"driver": "d"}}, {"csi": {"driver": "d"}}, False),
    ],
    ids=str,
)
def test_volumes(text, source, read_only):
    pod = pod_of(volumes={"/data": text})
    ((volume,), (mount,)) = pod["volumes"], pod["volumeMounts"]
    assert {k: v for k, v in volume.items() if k != "name"} == source
    assert mount == {"name": volume["name"], "mountPath": "/data", **({"readOnly": True} if read_only else {})}
    assert re.fullmatch("[a-z0-9]([-a-z0-9]*[a-z0-9])?", volume["name"])


def test_one_volume_for_several_paths_and_one_tmp_for_each():
    pod = pod_of(volumes={"/a": "data", "/b": "data:ro", "/c": "tmp", "/d": "tmp"})
    assert len(pod["volumes"]) == 3
    assert len({mount["name"] for mount in pod["volumeMounts"]}) == 3


def test_names_of_claims_that_no_volume_can_have():
    names = ("data.example.com", "data-example.com", "a" * 200, "taskgroup-assets")
    pod = pod_of(volumes={f"/{index}": name for index, name in enumerate(names)})
    volumes = [volume["name"] for volume in pod["volumes"]]
    assert len(set(volumes)) == len(names)
    assert all(re.fullmatch("[a-z0-9]([-a-z0-9]*[a-z0-9])?", v) and len(v) <= 63 for v in volumes)
    assert not any(v.startswith("taskgroup-") for v in volumes)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"volumes": {"/data": "nfs:x"}}, "volumes['/data'] is 'nfs:x': it must be \"<claim>\""),
        ({"volumes": {"/data": "secret:"}}, "volumes['/data'] is 'secret:'"),
        ({"volumes": {"/data": "tmp:big"}}, "the size of a tmp volume is 'big'"),
        ({"volumes": {"/data": {"hostPath": {}}}}, 'pod.volumes[0]: unknown field "hostPath"'),
        ({"secret_env": {"TOKEN": "hub"}}, "secret_env['TOKEN'] is 'hub': it must be \"<name of the Secret>/<key>\""),
        ({"tolerations": ["gpu:NoScheduling"]}, "tolerations has 'gpu:NoScheduling'"),
        (
            {"tolerations": [{"effect": "x", "kye": "a"}]},
            'pod.tolerations[0]: unknown field "kye", did you mean "key"?',
        ),
        ({"secrets": [1]}, "pod.envFrom[0].secretRef.name is 1: it must be a string"),
    ],
    ids=str,
)
def test_short_forms_that_are_refused(arguments, problem):
    with pytest.raises(ValueError, match=re.escape(problem)):
        TaskGroupExecutor(**arguments)


@pytest.mark.parametrize("value", ["pa$$word-$(A)", "$(A)", "$$(A)", "$A ${A} $", "no dollar", 1.5])
def test_env_arrives_unchanged(value):
    (entry,) = pod_of(env={"B": value})["env"]
    assert as_kubernetes_expands(entry["value"], {"A": "expanded"}) == str(value)


def as_kubernetes_expands(text, variables):
    """Do what k8s.io/kubernetes/third_party/forked/golang/expansion does with the value of a variable."""

    def replaced(match):
        return "$" if match[0] == "$$" else variables.get(match[1], match[0])

    return re.sub(r"\$\$|\$\(([^)]*)\)", replaced, text)


@pytest.mark.parametrize("own", [[], [{"name": "A", "value": "old"}]], ids=["added", "replaced"])
def test_env_of_pod_may_refer_to_variables_of_env(own):
    pod = pod_of(env={"A": "new"}, pod={"env": [*own, {"name": "B", "value": "$(A)"}]})
    assert pod["env"] == [{"name": "A", "value": "new"}, {"name": "B", "value": "$(A)"}]


def test_short_forms_are_laid_over_pod_and_runner():
    options = options_of(
        python="/opt/bin/python",
        runner={"python": "python3", "preload": ["numpy"]},
        priority="high",
        node_selector={"disk": "ssd"},
        volumes={"/data": "new"},
        secrets=["s3"],
        tolerations=["gpu"],
        pod={
            "priorityClassName": "low",
            "nodeSelector": {"disk": "hdd", "zone": "a"},
            "volumes": [{"name": "old", "persistentVolumeClaim": {"claimName": "old"}}],
            "volumeMounts": [{"name": "old", "mountPath": "/data"}, {"name": "old", "mountPath": "/old"}],
            "envFrom": [{"secretRef": {"name": "s3"}}],
            "tolerations": [{"operator": "Exists"}],
        },
    )
    assert options["runner"] == {"python": "/opt/bin/python", "preload": ["numpy"]}
    assert options["pod"] == {
        "priorityClassName": "high",
        "nodeSelector": {"disk": "ssd", "zone": "a"},
        "volumes": [
            {"name": "claim-new", "persistentVolumeClaim": {"claimName": "new"}},
            {"name": "old", "persistentVolumeClaim": {"claimName": "old"}},
        ],
        "volumeMounts": [{"name": "claim-new", "mountPath": "/data"}, {"name": "old", "mountPath": "/old"}],
        "envFrom": [{"secretRef": {"name": "s3"}}],
        "tolerations": [{"operator": "Exists"}, {"key": "gpu", "operator": "Exists"}],
    }


def test_queue_labels_and_annotations_are_of_the_taskgroup():
    options = options_of(queue="team-a", labels={"team": "vision"}, annotations={"a": "b"})
    assert (options["queue"], options["labels"], options["annotations"]) == ("team-a", {"team": "vision"}, {"a": "b"})
    assert "pod" not in options
