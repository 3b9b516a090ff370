"""The end of a task: threads, exit handlers and files, after the outcome is written."""

import sys

import pytest

COMPLETED = {"outcome": "completed"}

EXIT_HANDLERS = """\
import atexit, logging.handlers, queue, threading

FILE = None

class Slow(logging.Handler):
    def emit(self, record):
        pass
    def flush(self):
        print("logging was shut down")

SLOW = Slow()

def work():
    import time
    time.sleep(0.2)
    print("the thread was joined")

def task():
    global FILE, CYCLE
    atexit.register(print, "the handler ran")
    threading.Thread(target=work).start()
    FILE = open("global", "w")
    FILE.write("held by a global")
    cycle = [open("cycle", "wb")]
    cycle.append(cycle)
    cycle[0].write(b"held by a cycle")
    logging.getLogger().addHandler(Slow())
    {end}
"""


@pytest.mark.parametrize(
    ("end", "outcome", "code"),
    [
        ("return 1", "completed", 0),
        ("raise ValueError('boom')", "failed", 1),
        ("import sys; sys.exit(3)", "failed", 3),
    ],
    ids=["return", "exception", "sys.exit"],
)
def test_exit_handlers_threads_and_files(run_task, tmp_path, end, outcome, code):
    ended = run_task(EXIT_HANDLERS.format(end=end))
    assert ended.report["outcome"] == outcome
    assert ended.exit["code"] == code
    assert ended.stdout.splitlines() == ["the thread was joined", "the handler ran", "logging was shut down"]
    assert (tmp_path / "1" / "scratch" / "global").read_text() == "held by a global"
    assert (tmp_path / "1" / "scratch" / "cycle").read_text() == "held by a cycle"


def test_a_file_that_has_to_write_an_end(run_task, tmp_path):
    import gzip

    ended = run_task(
        "import gzip\ndef task():\n    global file\n    file = gzip.open('a.gz', 'wt')\n    file.write('compressed')\n"
    )
    assert ended.report == COMPLETED
    with gzip.open(tmp_path / "1" / "scratch" / "a.gz", "rt") as file:
        assert file.read() == "compressed"


def test_child_processes_are_joined(run_task):
    ended = run_task(
        "import multiprocessing\n"
        "def work():\n    import time; time.sleep(0.2); print('the child was joined')\n"
        "def task():\n    multiprocessing.get_context('fork').Process(target=work).start()\n"
    )
    assert (ended.report, ended.stdout) == (COMPLETED, "the child was joined\n")


def test_the_outcome_is_written_before_handlers_run(run_task):
    ended = run_task(
        "import atexit, os\n"
        "def task():\n    atexit.register(lambda: print(sorted(os.listdir('..'))))\n    return 'whole'\n"
    )
    assert ended.report == COMPLETED
    assert "'output', 'report.json'" in ended.stdout
    assert ended.text == "whole"


def test_a_handler_that_fails_is_one_line(run_task):
    ended = run_task(
        "import atexit\ndef fails():\n    raise RuntimeError('no server')\n"
        "def task():\n    atexit.register(fails)\n    return 1\n"
    )
    assert ended.report == COMPLETED
    assert ended.exit["code"] == 0
    if sys.version_info >= (3, 10):
        # Python 3.9 prints a traceback by itself.
        assert ended.stderr.startswith("[taskgroup] ")
        assert "<function fails at " in ended.stderr
        assert ended.stderr.endswith(" at the end of the task: RuntimeError: no server\n")
        assert ended.stderr.count("\n") == 1
    else:
        assert "end of the task: RuntimeError: no server\n" in ended.stderr


@pytest.mark.parametrize(
    "hang",
    ["threading.Event().wait()", "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals()); time.sleep(60)"],
    ids=["waits", "blocks signals"],
)
def test_a_handler_that_hangs_is_stopped(run_task, hang):
    ended = run_task(
        f"import atexit, signal, threading, time\ndef hangs():\n    {hang}\n"
        "def task():\n    atexit.register(hangs)\n    return 1\n",
        seconds=1,
    )
    assert ended.report == COMPLETED
    assert "[taskgroup] threads and exit handlers did not finish within " in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_a_thread_that_hangs_is_stopped(run_task):
    ended = run_task(
        "import threading\ndef task():\n    threading.Thread(target=threading.Event().wait).start()\n    return 1\n",
        seconds=1,
    )
    assert ended.report == COMPLETED
    assert "did not finish within " in ended.stderr


def test_a_handler_that_keeps_the_lock_of_the_interpreter_is_stopped(run_task):
    ended = run_task(
        "import atexit, re\ndef task():\n    atexit.register(re.match, '(a*)*b', 'a' * 64)\n    return 1\n", seconds=1
    )
    assert ended.report == COMPLETED
    assert "Timeout" in ended.stderr


def test_a_handler_that_ends_the_process(run_task):
    ended = run_task("import atexit, os\ndef task():\n    atexit.register(os._exit, 9)\n    return 1\n")
    assert (ended.report, ended.files, ended.exit["code"]) == (COMPLETED, ["output", "report.json"], 9)


def test_a_function_that_closed_all_descriptors(run_task):
    ended = run_task("import os\ndef task():\n    os.closerange(0, 256)\n    return 1\n")
    assert (ended.report, ended.files) == (COMPLETED, ["output", "report.json"])
