"""Write the assets of the runner's tests into a directory: ``assets.py HARNESS DIR``.

Every function below becomes an asset of its name, every value one of its name,
and the rest are broken on purpose.
"""

import base64
import json
import os
import pickle
import sys


def add(a, b=0, *, shift=0):
    print("add", a, b, shift)
    return a + b + shift


def weighted(*args, factor):
    return sum(i * a for i, a in enumerate(args)) * factor


def unicode(text):
    print("größe", text)
    return {"日本語": text + "🙂"}


def streams():
    import subprocess

    os.write(1, bytes(range(256)))
    print("python", flush=True)
    subprocess.run("echo shell; echo error >&2", shell=True, check=True)
    os.write(2, b"\xff\xfe no newline")


def split_streams():
    import time

    for part in (b"caf\xe9 ", b"\xe2\x82", b"\xac\xf0\x9f", b"\x98\x80 \xe2\x82"):
        os.write(1, part)
        time.sleep(0.01)  # each part may be read on its own


def large_streams():
    os.write(1, b"0123456789abcde\n" * (1 << 16))


def raises():
    print("before")
    raise ValueError("boom ü")


def raises_what_terminals_obey():
    raise ValueError("\x1b[2J\x07\0\r\nnext " + "\u202e" + "x" * 10000)


class Unwilling(Exception):
    def __str__(self):
        raise RuntimeError("no")


def raises_what_cannot_be_told():
    raise Unwilling


def returns_ten_thousand_characters_of_name():
    def f():
        pass

    f.__name__ = f.__qualname__ = "n" * 10000
    f.__doc__ = "\x1b[31m" + "d" * 10000
    return f


def exits(code):
    sys.exit(code)


def exits_at_once():
    os._exit(0)


def kills_itself(number):
    print("last words")
    os.kill(os.getpid(), number)


def kills_its_parent():
    import time

    os.kill(os.getppid(), 9)
    time.sleep(60)


def unpicklable():
    import threading

    return threading.Lock()


def bad_string():
    class Bad:
        def __str__(self):
            raise RuntimeError("no string")

    return Bad()


def leaves_child():
    import subprocess

    return subprocess.Popen(["sleep", "60"]).pid


def leaves_session():
    import subprocess

    return subprocess.Popen(["sleep", "60"], start_new_session=True).pid


def hostile():
    import threading
    import time

    for _ in range(4):
        threading.Thread(target=time.sleep, args=(60,)).start()
    os.chdir("/")
    os.environ.clear()
    sys.path.clear()
    sys.stdout = None
    os.closerange(0, 256)
    return "done"


async def coroutine():
    return 1


def forks_and_is_killed():
    pid = os.fork()
    if pid == 0:
        return "result of the child"
    os.waitpid(pid, 0)
    return os.kill(os.getpid(), 9)


def raises_and_exits():
    import atexit

    atexit.register(os._exit, 9)
    raise ValueError("boom")


def exits_with_70():
    os._exit(70)


def exits_in_a_handler():
    import atexit

    atexit.register(os._exit, 9)
    atexit.register(print, "handled")
    return "whole"


def hangs_in_a_handler():
    import atexit
    import threading

    atexit.register(threading.Event().wait)
    atexit.register(print, "handled")
    return "whole"


def fills_the_disk():
    try:
        with open("filler", "wb") as filler:
            while True:
                filler.write(bytes(1 << 20))
    except OSError:
        pass
    # What the file's buffer had left fails as well, and leaves less than a block.
    with open("more", "wb", buffering=0) as more:
        try:
            while True:
                more.write(b"x" * 4096)
        except OSError:
            pass


def raises_on_a_full_disk():
    fills_the_disk()
    raise ValueError("the real reason")


def returns_on_a_full_disk():
    fills_the_disk()
    return "x" * 100_000


def returns_too_much():
    return bytes(64 << 20)


def kills_a_child():
    import subprocess

    hungry = "x = []\nwhile True: x.append(bytearray(8 << 20))"
    subprocess.run([sys.executable, "-c", hungry], check=True)


def survives_a_killed_child():
    try:
        kills_a_child()
    except Exception:
        return "completed"


def version():
    import subprocess

    import taskgroup_tiny

    child = [sys.executable, "-c", "import taskgroup_tiny; print(taskgroup_tiny.VERSION)"]
    return taskgroup_tiny.VERSION, subprocess.run(child, capture_output=True, text=True, check=True).stdout


def surroundings():
    import getpass

    names = (
        "TASKGROUP_PLAN",
        "TASKGROUP_NODE_ID",
        "TASKGROUP_ATTEMPT",
        "COVALENT_DISPATCH_ID",
        "COVALENT_DISPATCHER_URL",
    )
    return json.dumps(
        {
            "env": {name: os.environ.get(name) for name in names},
            "home": os.access(os.environ["HOME"], os.W_OK),
            "files": os.listdir("."),
            "descriptors": sorted(int(fd) for fd in os.listdir("/proc/self/fd"))[:3],
            "open": len(os.listdir("/proc/self/fd")),
            "leader": os.getpid() == os.getsid(0) == os.getpgid(0),
            "stdin": os.readlink("/proc/self/fd/0"),
            "user": getpass.getuser(),
            "main": sorted(k for k in vars(sys.modules["__main__"]) if not k.startswith("__")),
        }
    )


def waits():
    import time

    print("ready", flush=True)
    time.sleep(60)


def waits_stubbornly():
    import signal
    import time

    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("ready", flush=True)
    time.sleep(60)


def stops_its_parent():
    import signal
    import time

    print("ready", flush=True)
    os.kill(os.getppid(), signal.SIGSTOP)
    time.sleep(60)


class SlowToLoad:
    def __reduce__(self):
        return exec, ("import time; print('ready', flush=True); time.sleep(60)",)


def ends_on_signal():
    import signal
    import time

    told = []
    signal.signal(signal.SIGTERM, lambda *_: told.append(1))
    print("ready", flush=True)
    while not told:
        time.sleep(0.01)
    return "finished anyway"


def directories():
    same = "set" if os.environ["TASKGROUP_DIR"] == os.getcwd() else "different"
    return f"{os.getcwd()}, {same}, {len(os.listdir())} files"


def exits_on_signal():
    import signal
    import time

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print("ready", flush=True)
    time.sleep(60)


def returns_with_a_stopped_harness():
    import signal

    print("ready", flush=True)
    os.kill(os.getppid(), signal.SIGSTOP)
    return "whole"


def eats_memory():
    pieces = []
    while True:
        pieces.append(bytearray(8 << 20))


def forks():
    import multiprocessing

    with multiprocessing.get_context("fork").Pool(2) as pool:
        return pool.map(abs, [-1, -2])


def context():
    return "no covalent" if "covalent" not in sys.modules else "covalent"


VALUES = {
    "three": 3,
    "four": 4,
    "kill": 9,
    "segv": 11,
    "term": 15,
    "zero": 0,
    "none": None,
    "text": "ünïcode",
    "say": "farewell",
}


def hook(transportable, function, *args, keyword="", **kwargs):
    import cloudpickle

    def attributes(obj):
        pickled = base64.b64encode(cloudpickle.dumps(obj)).decode()
        header = {
            "py_version": transportable.PYTHON_VERSION,
            "cloudpickle_version": cloudpickle.__version__,
            "attrs": {},
        }
        return {
            "type": "TransportableObject",
            "attributes": {"_object": pickled, "_object_string": "", "_header": header},
        }

    parts = {"apply_fn": attributes(function), "apply_args": attributes(list(args)), "apply_kwargs": attributes(kwargs)}
    return {"type": "DepsCall", "short_name": "covalent", "attributes": {**parts, "retval_keyword": keyword}}


def hooks(transportable):
    def call(function, *args, **kwargs):
        return hook(transportable, function, *args, **kwargs)

    def bash(*commands):
        return {"deps": {"bash": {"type": "DepsBash", "attributes": {"commands": list(commands)}}}}

    def divide(a, b):
        return a / b

    return {
        "hooks-none": {},
        "hooks-order": {
            **bash("echo bash-1", "echo bash-2; echo error >&2"),
            "call_before": [call(print, "before"), call(divide, 10, 2, keyword="shift")],
            "call_after": [call(print, "after")],
        },
        "hooks-bash-fails": bash("echo first", "exit 3", "echo never"),
        "hooks-before-fails": {"call_before": [call(divide, 1, 0)]},
        "hooks-after-fails": {"call_after": [call(divide, 1, 0)]},
        "hooks-pip": {"deps": {"pip": {"type": "DepsPip", "attributes": {"packages": ["./no-such-directory"]}}}},
        "hooks-malformed": {"call_before": [{}]},
        "hooks-list": [],
    }


def archive(header, data):
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    string_at = 16 + len(raw)
    return string_at.to_bytes(8, "big") + string_at.to_bytes(8, "big") + raw + data


def main(harness, directory):
    sys.path.insert(0, harness)
    from taskgroup_harness import transportable

    def path(name):
        return os.path.join(directory, name)

    others = {"main", "hook", "hooks", "archive", "SlowToLoad", "Unwilling"}
    functions = {k: v for k, v in globals().items() if callable(v) and k not in others}
    for name, obj in {**functions, **VALUES}.items():
        transportable.dump(obj, path(name))
    for name, obj in hooks(transportable).items():
        with open(path(name), "w") as file:
            json.dump(obj, file)
    ours = {"py_version": transportable.PYTHON_VERSION, "cloudpickle_version": "3"}
    with open(path("add"), "rb") as file:
        whole = file.read()
    broken = {
        "corrupt-pickle": archive(ours, base64.b64encode(b"\x80\x05garbage")),
        "truncated-pickle": whole[: -len(whole) // 4 * 4 // 2],
        "truncated-header": whole[:40],
        "empty": b"",
        "text-file": b"this is no archive at all",
        "no-version": archive({}, b""),
        "old-python": archive({"py_version": "3.2.1"}, base64.b64encode(b"N.")),
        "slow-to-load": archive(ours, base64.b64encode(pickle.dumps(SlowToLoad()))),
        "bomb-that-explodes": archive(ours, base64.b64encode(b"cbuiltins\neval\n(V1/0\ntR.")),
        "bomb-that-recurses": archive(ours, base64.b64encode(b"(" * 100000 + b"l" * 100000 + b".")),
        "bomb-that-ends-the-process": archive(ours, base64.b64encode(b"cos\n_exit\n(I0\ntR.")),
        "missing-module": archive(ours, base64.b64encode(b"cno_such_module\nfunction\n.")),
        "hooks-no-json": b"{",
    }
    for name, raw in broken.items():
        with open(path(name), "wb") as file:
            file.write(raw)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
