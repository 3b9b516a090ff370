"""A real Covalent server: started, killed and asked."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
from typing import Any

import covalent as ct
import psutil
import requests
from world import HOME, until

_COVALENT = "import sys; from covalent_dispatcher._cli.cli import cli; sys.exit(cli())"


class Server:
    """A dispatcher with a home, configuration, database and port of its own."""

    def __init__(self, name: str, **environment: str) -> None:
        self.home = HOME / name
        self.results = self.home / ".local/share/covalent/data"
        self.port = _free_port()
        self.address = f"http://localhost:{self.port}"
        self.environment = {
            **os.environ,
            "HOME": str(self.home),
            "XDG_CACHE_HOME": str(self.home / "cache"),
            "XDG_RUNTIME_DIR": str(self.home / "run"),
            **environment,
        }
        (self.home / "run").mkdir(mode=0o700, parents=True)

    def covalent(self, *command: str) -> None:
        """Run the program covalent."""
        self.python(_COVALENT, *command)

    def python(self, program: str, *arguments: str) -> None:
        """Run a program in the server's environment."""
        log = self.home / "commands.log"
        with log.open("ab") as output:
            done = subprocess.run(
                [sys.executable, "-c", program, *arguments],
                env=self.environment,
                cwd=self.home,
                stdout=output,
                stderr=output,
                check=False,
            )
        assert done.returncode == 0, f"{' '.join(arguments)}: {log.read_text()[-2000:]}"

    def configure(self, settings: dict[str, Any]) -> None:
        """Write to covalent.conf, as ct.set_config does: {"executors.taskgroup.memory": "1Gi"}."""
        self.python("import covalent, json, sys; covalent.set_config(json.loads(sys.argv[1]))", json.dumps(settings))

    def start(self) -> Server:
        """Start the server and wait until it listens; a new one gets a database."""
        database, made = self.home / ".local/share/covalent/dispatcher_db.sqlite", HOME / "database"
        if not made.exists():
            self.covalent("db", "migrate")
            shutil.copy(database, made)
        elif not database.exists():
            database.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(made, database)
        self.covalent("start", "--no-cluster", "--no-triggers", "-p", str(self.port))
        # It takes another where somebody has this one.
        requests.get(self.address, timeout=20).raise_for_status()
        return self

    def stop(self) -> None:
        self.covalent("stop")

    def kill(self) -> None:
        """End the server as nothing expects it, with its children: those of the local executor would keep the port."""
        pidfile = self.home / "cache/covalent/ui.pid"
        shell = psutil.Process(int(pidfile.read_text()))
        processes = [*shell.children(recursive=True), shell]
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(processes, timeout=10)
        pidfile.unlink()

    def bridge(self) -> int:
        """Return the process ID of the server's bridge, as the bridge reports it."""

        def pid() -> int:
            # Its folder is in dispatcher.cache_dir, or in a temporary folder if that path is too long for a socket.
            for path in self.home.glob("**/taskgroup-*/bridge.sock"):
                connection = http.client.HTTPConnection("bridge")
                connection.sock = socket.socket(socket.AF_UNIX)
                if connection.sock.connect_ex(str(path)) == 0:
                    connection.request("GET", "/v1/version")
                    return json.load(connection.getresponse())["pid"]
            return 0

        return until("a bridge", pid)

    def dispatch(self, lattice: Any, *args: Any, **kwargs: Any) -> str:
        return ct.dispatch(lattice, dispatcher_addr=self.address)(*args, **kwargs)

    def cancel(self, dispatch: str, *nodes: int) -> str:
        return ct.cancel(dispatch, list(nodes), dispatcher_addr=self.address)

    def status(self, dispatch: str) -> str:
        return _word(ct.get_result(dispatch, dispatcher_addr=self.address, status_only=True)["status"])

    def now(self, dispatch: str) -> Result:
        return Result(self, ct.get_result(dispatch, dispatcher_addr=self.address))

    def ui(self, dispatch: str, node: int, detail: str = "") -> dict[str, Any]:
        """Return what the UI is told of a node: of itself, or a detail such as "error"."""
        return self._get(
            f"/api/v1/dispatches/{dispatch}/electron/{node}" + (f"/details/{detail}" if detail else "")
        ).json()

    def tell(self, dispatch: str, node: int) -> None:
        """Tell the dispatcher that a node has ended; its executor then finds out how."""
        path = f"/api/v2/dispatches/{dispatch}/electrons/{node}/job"
        requests.put(self.address + path, json={}, timeout=60).raise_for_status()

    def manifest(self, dispatch: str) -> list[dict[str, Any]]:
        """Return what the dispatcher has in its database of each node."""
        nodes = self._get(f"/api/v2/dispatches/{dispatch}").json()["lattice"]["transport_graph"]["nodes"]
        return [node["metadata"] for node in nodes]

    def asset(self, dispatch: str, node: int, key: str) -> str:
        """Return the text of a node's asset, such as "error"."""
        found = self._get(f"/api/v2/dispatches/{dispatch}/electrons/{node}/assets/{key}").json()
        return self._get(found["remote_uri"].removeprefix(self.address)).text

    def _get(self, path: str) -> requests.Response:
        response = requests.get(self.address + path, timeout=60)
        response.raise_for_status()
        return response

    def ended(self, dispatch: str, seconds: float = 240) -> Result:
        """Wait for the end of a dispatch and return its result."""
        ends = {"COMPLETED", "FAILED", "CANCELLED"}
        until(f"the end of {dispatch}", lambda: self.status(dispatch) in ends, seconds)
        return self.now(dispatch)


class Result:
    """What became of a dispatch."""

    def __init__(self, server: Server, result: Any) -> None:
        self.server = server
        self.dispatch: str = result.dispatch_id
        self.status = _word(result.status)
        self.value = result.result
        self.nodes: list[dict[str, Any]] = result.get_all_node_results()
        for node in self.nodes:
            node["status"] = _word(node["status"])

    def node(self, name: str) -> dict[str, Any]:
        """Return the node of a function; the first of several."""
        return next(node for node in self.nodes if node["node_name"] == name)

    def said(self, name: str) -> str:
        """Return the error of a node as Covalent's SDK has it, and what it wrote to stderr."""
        node = self.node(name)
        return f"{node['error'] or ''}{node['stderr'] or ''}"

    def completed(self) -> Any:
        """Return the value of a dispatch that completed."""
        assert self.status == "COMPLETED", self
        return self.value

    def __repr__(self) -> str:
        lines = [f"{self.dispatch} {self.status} {self.value!r:.200}"]
        for node in self.nodes:
            lines.append(
                f"{node['node_id']} {node['node_name']} {node['status']} {node['error'] or ''}{node['stderr'] or ''}"
            )
        return "\n".join(lines)


def _word(status: Any) -> str:
    # Covalent's states format as StatusEnum.COMPLETED, or without the class.
    return f"{status}".rpartition(".")[2]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
