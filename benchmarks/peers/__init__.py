"""One peer a file: a module here with a `PEER` is a row of `device_step.py`."""
