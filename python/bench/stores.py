"""Executors on the cluster, one for each store of their objects, and how the benchmark reads a manifest there."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from covalent_taskgroup_plugin.taskgroup import TaskGroupExecutor

NAMESPACE = "bench"
# The Secret with the account of the S3 server; run.sh creates it.
SECRET = "s3"
GATEWAY = "/api/v1/namespaces/taskgroup-system/services/https:taskgroup-gateway:https/proxy"


@dataclass(frozen=True)
class Store:
    """An executor, and the function that reads an object of its store by the URI."""

    executor: TaskGroupExecutor
    read: Callable[[str], bytes]


def on_volume(assets: str, memory: str) -> Store:
    """Return the store in a folder that the pods see under the same path."""
    executor = _executor(
        memory,
        assets=f"file://{assets}",
        pod={
            "volumes": [{"name": "assets", "persistentVolumeClaim": {"claimName": "taskgroup-assets"}}],
            "volumeMounts": [{"name": "assets", "mountPath": assets}],
        },
    )
    return Store(executor, lambda uri: Path(urlsplit(uri).path).read_bytes())


def in_gateway(memory: str) -> Store:
    """Return the store that an executor without assets uses."""
    return Store(_executor(memory), GatewayReader().read)


def in_bucket(buckets: str, memory: str) -> Store:
    """Return the store in the S3 server whose buckets are folders."""
    names = ("AWS_ENDPOINT_URL_S3", "AWS_REGION")
    executor = _executor(
        memory,
        assets="s3://bucket/bench",
        env={name: os.environ[name] for name in names},
        pod={"envFrom": [{"secretRef": {"name": SECRET}}]},
    )

    def read(uri: str) -> bytes:
        parts = urlsplit(uri)
        return Path(buckets, parts.netloc, parts.path.lstrip("/")).read_bytes()

    return Store(executor, read)


def _executor(memory: str, **options: Any) -> TaskGroupExecutor:
    return TaskGroupExecutor(
        kubeconfig=os.environ["KUBECONFIG"], namespace=NAMESPACE, cpu="10m", memory=memory, **options
    )


def kubectl(*command: str) -> str:
    """Run kubectl and return what it printed."""
    done = subprocess.run([os.environ["KUBECTL"], *command], check=True, capture_output=True, text=True)
    return done.stdout


class GatewayReader:
    """Reads objects of the gateway through the service proxy of the API server, as the kubeconfig's user."""

    def __init__(self) -> None:
        self._session: requests.Session | None = None
        self._server = ""

    def read(self, uri: str) -> bytes:
        """Return the bytes of an object."""
        session = self._session or self._connect()
        parts = urlsplit(uri)
        answer = session.get(f"{self._server}{GATEWAY}/v1/namespaces/{parts.netloc}{parts.path}", timeout=30)
        answer.raise_for_status()
        return answer.content

    def _connect(self) -> requests.Session:
        # The account exists as soon as the bridge has stored the first object.
        token = kubectl("-n", NAMESPACE, "create", "token", "taskgroup-dispatcher", "--audience=taskgroup-gateway")
        config = json.loads(kubectl("config", "view", "--raw", "--minify", "--flatten", "-o", "json"))
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self._server = cluster["server"]
        self._folder = tempfile.TemporaryDirectory()
        files = []
        for name, data in (
            ("ca", cluster["certificate-authority-data"]),
            ("certificate", user["client-certificate-data"]),
            ("key", user["client-key-data"]),
        ):
            path = Path(self._folder.name, name)
            path.write_bytes(base64.b64decode(data))
            files.append(str(path))
        self._session = requests.Session()
        # No proxy of this machine's environment is on the way to the API server.
        self._session.trust_env = False
        self._session.verify, self._session.cert = files[0], (files[1], files[2])
        self._session.headers["Taskgroup-Gateway-Token"] = token.strip()
        return self._session
