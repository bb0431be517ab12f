"""TensorFlow's threads: clients train side by side, each on one core."""

from __future__ import annotations

import os

import tensorflow as tf


def one_thread_an_operator() -> bool:
    """Keeps operators from splitting their work, which also fixes the order of sums.

    Returns:
        False if TensorFlow has been started otherwise already.
    """
    threading = tf.config.threading
    try:
        threading.set_intra_op_parallelism_threads(1)
    except RuntimeError:
        set_by = os.environ.get("TF_NUM_INTRAOP_THREADS")
        return set_by == "1" or bool(threading.get_intra_op_parallelism_threads() == 1)
    return True
