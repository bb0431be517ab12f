"""Keras model to TFLite file with trainable signatures of builtin ops only."""

import os

# Before TensorFlow is imported, which would greet otherwise.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
