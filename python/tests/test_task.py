"""A task in its process: forks, failures outside the function, stacks, and the script's __main__."""

import pytest

COMPLETED = {"outcome": "completed"}

FORKS = """\
import os, signal, sys
def task():
    sys.stdout.write("before ")
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        sys.stdout.write("child ")
        {child}
    _, status = os.waitpid(pid, 0)
    code = os.WEXITSTATUS(status)
    {parent}
"""


@pytest.mark.parametrize(
    ("child", "code", "stderr"),
    [
        ("return 'result of the child'", 0, ""),
        ("sys.exit()", 0, ""),
        ("sys.exit(3)", 3, ""),
        ("raise ValueError('boom')", 1, ", which the function forked, ended: ValueError: boom\n"),
    ],
    ids=["returns", "exits", "exits with a code", "raises"],
)
def test_a_fork_that_leaves_the_function(run_task, child, code, stderr):
    ended = run_task(FORKS.format(child=child, parent="return ['parent', code]"))
    assert ended.report == COMPLETED
    assert ended.text == str(["parent", code])
    assert ended.stdout == "before child "
    assert "Traceback" not in ended.stderr
    assert ended.stderr.endswith(stderr)


@pytest.mark.parametrize("child", ["return 'result of the child'", "raise ValueError('boom')"])
def test_a_fork_leaves_no_result_for_a_task_that_is_killed(run_task, child):
    ended = run_task(FORKS.format(child=child, parent="os.kill(os.getpid(), signal.SIGKILL)"))
    assert ended.report == {}
    assert ended.exit["signal"] == 9
    assert "output" not in ended.files


@pytest.mark.parametrize(
    ("hooks", "message"),
    [
        ({"deps": [1]}, "deps hook: malformed: [1] is not an object"),
        ({"call_before": 5}, "call_before hook: malformed: 5 is not a list"),
        ({"call_after": {"a": 1}}, "call_after hook: malformed: {'a': 1} is not a list"),
        ({"deps": {"pip": {"attributes": {"packages": 7}}}}, "pip hook: malformed: 7 is no list of strings"),
        ({"deps": {"pip": {"attributes": {"requirements_content": 7}}}}, "pip hook: malformed: requirements_content "),
        (
            {"deps": {"bash": {"attributes": {"commands": ["echo a\0b"]}}}},
            "bash hook 'echo a\\x00b': starting /bin/sh: ValueError: embedded null byte",
        ),
    ],
    ids=["deps", "call_before", "call_after", "packages", "requirements", "NUL"],
)
def test_malformed_hooks(run_task, hooks, message):
    ended = run_task("def task():\n    return 1\n", hooks=hooks)
    assert ended.report["reason"] == "HookFailed"
    assert ended.report["message"].startswith(message)
    assert ended.exit["code"] == 1


def test_a_function_that_replaces_what_the_harness_uses(run_task):
    ended = run_task(
        "import builtins, json, os\n"
        "def task():\n    json.dumps = json.dump = os.getpid = os._exit = builtins.print = None\n"
        "    raise ValueError('mine')\n"
    )
    assert ended.report["message"] == "ValueError: mine"
    ended = run_task("import builtins\ndef task():\n    builtins.open = None\n    return 1\n")
    assert ended.report["outcome"] == "failed"
    assert ended.report["reason"] in ("OutputUploadFailed", "OutputInvalid")


def test_an_error_of_the_harness_has_the_reason_of_its_step(run_task):
    ended = run_task("def task(x):\n    return x\n", args=[{"path": "/dev/null"}])
    assert (ended.report["reason"], ended.report["message"]) == (
        "InputInvalid",
        "loading the function and its arguments: KeyError: 'name'",
    )


def test_an_exception_that_arrives_while_the_result_is_written(run_task):
    ended = run_task(
        "class Late:\n    def __reduce__(self):\n        raise KeyboardInterrupt\ndef task():\n    return Late()\n"
    )
    assert ended.report["reason"] == "OutputInvalid"
    assert ended.files == ["report.json"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "async def task():\n    return 1\n",
            "the result, a builtins.coroutine, cannot be pickled: "
            "task is an async function: call it with asyncio.run(...) in the task",
        ),
        (
            "def task():\n    yield 1\n",
            "the result, a builtins.generator, cannot be pickled: task is a generator: return list(...) of it",
        ),
        (
            "async def task():\n    yield 1\n",
            "the result, a builtins.async_generator, cannot be pickled: "
            "task is an async generator: collect its items with asyncio.run(...) in the task",
        ),
    ],
    ids=["coroutine", "generator", "async generator"],
)
def test_results_that_are_not_computed_yet(run_task, body, message):
    ended = run_task(body)
    assert (ended.report["reason"], ended.report["message"]) == ("OutputInvalid", message)


def test_a_crash_prints_the_stack(run_task):
    ended = run_task("import ctypes\ndef crash_here():\n    ctypes.string_at(0)\ndef task():\n    crash_here()\n")
    assert ended.exit["signal"] == 11
    assert "Fatal Python error: Segmentation fault" in ended.stderr
    assert "in crash_here" in ended.stderr


HANGS = """\
import os, signal, subprocess, threading
def waits_here():
    threading.Event().wait(30)
def task():
    {before}
    threading.Thread(target=waits_here, daemon=True).start()
    # Not from a thread: its end would be simultaneous.
    subprocess.Popen(["sh", "-c", "sleep 0.2; kill -TERM $PPID"])
    waits_here()
"""


def test_sigterm_prints_the_stacks_of_all_threads(run_task):
    ended = run_task(HANGS.format(before="pass"))
    assert ended.exit["signal"] == 15
    assert ended.stderr.count("in waits_here") == 2


def test_sigterm_reaches_the_handler_of_the_function(run_task):
    ended = run_task(
        HANGS.format(before="signal.signal(signal.SIGTERM, lambda *_: (print('handled', flush=True), os._exit(4)))")
    )
    assert (ended.exit["code"], ended.stdout, ended.stderr) == (4, "handled\n", "")


def test_sigterm_ends_the_workers_of_a_pool_silently(run_task):
    ended = run_task(
        "import multiprocessing\n"
        "def task():\n"
        "    with multiprocessing.get_context('fork').Pool(2) as pool:\n"
        "        pool.map(abs, [1, 2])\n"
        "    return 1\n"
    )
    assert (ended.report, ended.stderr) == (COMPLETED, "")


POOL = """\
import multiprocessing, pickle
from concurrent.futures import ProcessPoolExecutor

SHIFT = 0

class Point:
    def __init__(self, x):
        self.x = x

def shift(by):
    global SHIFT
    SHIFT = by

def square(n):
    return n * n + SHIFT

def squares(context):
    with context.Pool(2, initializer=shift, initargs=(1,)) as pool:
        return pool.map(square, range(4))

def task():
    {body}
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_functions_of_the_script_in_a_pool(run_task, method):
    """Only forks share what an initializer sets in the globals: others get the function by value, as it is."""
    context = f"multiprocessing.get_context({method!r})"
    ended = run_task(POOL.format(body=f"return squares({context})"))
    assert ended.text == ("[1, 2, 5, 10]" if method == "fork" else "[0, 1, 4, 9]"), ended.stderr
    ended = run_task(
        POOL.format(
            body=f"with ProcessPoolExecutor(2, mp_context={context}) as pool: return list(pool.map(square, range(4)))"
        )
    )
    assert ended.text == "[0, 1, 4, 9]", ended.stderr


def test_the_default_pool(run_task):
    ended = run_task(POOL.format(body="return multiprocessing.Pool(2).map(square, range(4))"))
    assert ended.text == "[0, 1, 4, 9]", ended.stderr


def test_functions_and_classes_of_the_script_can_be_pickled_by_name(run_task):
    ended = run_task(
        POOL.format(body="return [pickle.loads(pickle.dumps(o)) is o for o in (square, Point, task)], Point.__module__")
    )
    assert ended.text == "([True, True, True], '__main__')", ended.report


def test_main_is_not_the_harness(run_task):
    ended = run_task(
        "import sys\nN = 1\ndef helper():\n    return N\n"
        "def task():\n    helper()\n    return sorted(n for n in vars(sys.modules['__main__']) if n[0] != '_')\n"
    )
    assert ended.text in ("['N', 'helper', 'sys', 'task']", "['helper', 'sys', 'task']")


def test_modules_are_preloaded_once(start_harness, tmp_path, monkeypatch):
    (tmp_path / "slow_module.py").write_text(
        f"with open({str(tmp_path / 'imports')!r}, 'a') as file:\n    file.write('x')\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    harness = start_harness("slow_module", "no_such_module")
    for _ in range(10):
        assert (
            harness.run("def task():\n    import slow_module\n    return slow_module.__name__\n").text == "slow_module"
        )
    assert (tmp_path / "imports").read_text() == "x"
    message = "[taskgroup] preloading no_such_module: ModuleNotFoundError: No module named 'no_such_module'\n"
    assert harness.log.read_text() == message
