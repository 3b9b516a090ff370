"""Results and streams that are not everyday's."""

import sys
import threading

import covalent as ct
from world import on_cluster, workflow

cluster = on_cluster()
roomy = on_cluster(memory="512Mi")


@ct.electron(executor=cluster)
def grüße(an="die Welt 🌍"):
    print(f"Grüße an {an}")
    return {"Schlüssel": an}


@ct.electron(executor=roomy)
def large(megabytes):
    return bytes(range(256)) * (megabytes << 12)


@ct.electron(executor=roomy)
def length(value):
    return len(value), value[-1]


@ct.electron(executor=cluster)
def unpicklable():
    return threading.Lock()


@ct.electron(executor=cluster)
def nothing():
    return None


@ct.electron(executor=cluster)
def is_none(value, other=None):
    return value is None and other is None


@ct.electron(executor=cluster)
def noisy(megabytes):
    for i in range(megabytes << 10):
        sys.stderr.write(f"{i:1023}\n")
    return megabytes


@ct.electron(executor=cluster)
def mean(numbers):
    import numpy

    # A plain number: whoever reads the result has no numpy.
    return float(numpy.asarray(numbers).mean())


@ct.lattice(executor=cluster, workflow_executor="local")
def by_numpy(numbers):
    return mean(numbers)


@ct.lattice(executor=cluster, workflow_executor="local")
def unicode(name):
    return grüße(), grüße(an=name)


@ct.lattice(executor=cluster, workflow_executor="local")
def fifty_megabytes():
    return length(large(50))


@ct.lattice(executor=cluster, workflow_executor="local")
def lock():
    return unpicklable()


@ct.lattice(executor=cluster, workflow_executor="local")
def none():
    return is_none(nothing()), nothing()


@ct.lattice(executor=cluster, workflow_executor="local")
def noise(megabytes):
    return noisy(megabytes)


@workflow(unicode, "Ωmega\n\0")
def test_unicode(result):
    assert result.completed() == [{"Schlüssel": "die Welt 🌍"}, {"Schlüssel": "Ωmega\n\0"}]
    assert result.node("grüße")["stdout"] == "Grüße an die Welt 🌍\n"


@workflow(fifty_megabytes)
def test_a_large_result(result):
    assert result.completed() == (50 << 20, 255)


@workflow(lock)
def test_a_result_that_cannot_be_pickled(result):
    assert result.status == "FAILED"
    said = result.node("unpicklable")["error"]
    assert said.startswith("OutputInvalid: the result, a _thread.lock, cannot be pickled: TypeError"), said


@workflow(none)
def test_none(result):
    assert result.completed() == [True, None]


@workflow(noise, 20)
def test_much_on_stderr(result):
    assert result.completed() == 20
    lines = result.node("noisy")["stderr"].splitlines()
    assert [int(line) for line in lines] == list(range(20 << 10))


@workflow(by_numpy, [1, 2, 6])
def test_a_package_of_the_image(result):
    assert result.completed() == 3.0
