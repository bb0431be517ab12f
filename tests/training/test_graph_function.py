import pickle
import threading

import numpy as np
import psutil
import pytest

tf = pytest.importorskip("tensorflow", reason="training needs the training install")

from fedp.training.graph_function import Started, graph_function  # noqa: E402
from fedp.training.side_by_side import SideBySide  # noqa: E402


def counting():
    """(x) -> x times the number of calls so far, counted in a variable."""
    calls = tf.Variable(0.0)

    @tf.function
    def step(x, first):
        if first > 0:
            calls.assign(0.0)
        return x * calls.assign_add(1.0)

    spec = tf.TensorSpec((None,), tf.float32)
    return graph_function(step.get_concrete_function(spec, tf.TensorSpec([])))


X = np.array([1, 2], np.float32)
FIRST, LATER = np.float32(1), np.float32(0)


def test_each_start_has_variables_of_its_own_and_keeps_them():
    function = pickle.loads(pickle.dumps(counting()))
    one, two = Started(function), Started(function)
    np.testing.assert_array_equal(one([X, FIRST])[0], X)
    np.testing.assert_array_equal(one([X, LATER])[0], 2 * X)
    np.testing.assert_array_equal(two([X, FIRST])[0], X)
    np.testing.assert_array_equal(one([X, LATER])[0], 3 * X)
    one.close()
    one.close()
    with pytest.raises(RuntimeError):
        one([X, LATER])


def test_results_come_in_the_order_of_the_inputs_and_errors_as_they_are():
    clients = SideBySide(counting(), threads=2)
    inputs = [[np.full(1, n, np.float32), FIRST] for n in range(50)]
    assert [int(found[0]) for (found,) in clients.map(inputs)] == list(range(50))
    wrong = [np.zeros((2, 2), np.float32), FIRST]
    one, error, other = clients.map([inputs[1], wrong, inputs[2]])
    assert isinstance(error, ValueError) and "feed" in str(error)
    assert (one[0], other[0]) == (1, 2)
    clients.close()
    clients.close()


def test_closing_ends_the_threads():
    process = psutil.Process()
    before = threading.active_count(), process.num_threads()
    for _ in range(5):
        clients = SideBySide(counting(), threads=3)
        list(clients.map([[X, FIRST]] * 6))
        clients.close()
    assert threading.active_count() == before[0]
    # TensorFlow starts some for good with the first session.
    assert process.num_threads() <= before[1] + 6
