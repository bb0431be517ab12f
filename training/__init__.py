"""Server side: Algorithm 2 of Jiang et al. 2019 on TensorFlow Federated."""

import os

# TensorFlow reads this once, when it is imported; its worker process inherits it.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
