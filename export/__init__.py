"""Keras model to TFLite file with trainable signatures of builtin ops only."""
