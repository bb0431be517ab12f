import pathlib

import pytest

from fedp.training.engines.worker_process import WorkerError, running_worker


def test_a_worker_that_ends_at_once_is_an_error_that_names_its_log(tmp_path):
    binary = tmp_path / "worker"
    binary.write_text("#!/bin/sh\necho no memory\nexit 3\n")
    binary.chmod(0o755)
    log = tmp_path / "worker.log"
    with pytest.raises(WorkerError, match=f"exit code 3.*{log}"):
        with running_worker(binary, log, threads=1):
            pass
    assert log.read_text() == "no memory\n"


def test_a_missing_binary_is_an_error(tmp_path):
    with pytest.raises(WorkerError, match="exit code 1"):
        with running_worker(pathlib.Path("/no/such/file"), tmp_path / "log", 1):
            pass
