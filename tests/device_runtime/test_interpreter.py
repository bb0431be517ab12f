import pathlib
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from fedp.device_runtime.artifact_file import read_artifact
from fedp.device_runtime.errors import ArtifactError, MissingDependencyError
from fedp.device_runtime.interpreter import available_interpreters, load_interpreter


def run_python(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=100,
    )


def test_fastest_is_the_default(mlp_artifact: pathlib.Path) -> None:
    _, content = read_artifact(mlp_artifact)
    assert load_interpreter(content).kind == available_interpreters()[0]


def test_unknown_interpreter() -> None:
    with pytest.raises(MissingDependencyError, match="allowed are ai_edge_litert"):
        load_interpreter(b"", "torch")


@pytest.mark.parametrize("content", [b"TFL3", b"\0" * 1000, b""])
def test_refused_content(kind: str, content: bytes) -> None:
    with pytest.raises(ArtifactError, match=f"{kind} cannot load the artifact"):
        load_interpreter(content, kind)


def test_unknown_signature(kind: str, mlp_artifact: pathlib.Path) -> None:
    interpreter = load_interpreter(read_artifact(mlp_artifact)[1], kind)
    with pytest.raises(ArtifactError, match="no signature 'fly'"):
        interpreter.run("fly")


def test_wrong_dtype_is_an_artifact_error(
    kind: str, mlp_artifact: pathlib.Path
) -> None:
    interpreter = load_interpreter(read_artifact(mlp_artifact)[1], kind)
    with pytest.raises(ArtifactError, match="'infer' fails on"):
        interpreter.run("infer", x=np.zeros((1, 28, 28, 1), np.float64))


def test_none_installed() -> None:
    done = run_python(
        """
        import sys
        sys.modules["ai_edge_litert"] = sys.modules["tflite_runtime"] = None
        from fedp.device_runtime.errors import MissingDependencyError
        from fedp.device_runtime.interpreter import *
        assert available_interpreters() == ()
        for kind in (None, "tflite_runtime"):
            try:
                load_interpreter(b"", kind)
            except MissingDependencyError as error:
                print(error)
        """
    )
    first, second = done.stdout.splitlines()
    assert first.endswith("pip install ai-edge-litert")
    assert second.endswith("pip install tflite-runtime")


def test_one_installed_is_enough(kind: str, mlp_artifact: pathlib.Path) -> None:
    done = run_python(
        """
        import sys
        for other in {"ai_edge_litert", "tflite_runtime"} - {sys.argv[1]}:
            sys.modules[other] = None
        from fedp.device_runtime import Personalizer
        with Personalizer.open(sys.argv[2]) as personalizer:
            print(personalizer.interpreter)
        """,
        kind,
        mlp_artifact,
    )
    assert (done.stdout, done.stderr) == (kind + "\n", "")


def test_stderr_stays_clean_and_whole(kind: str, mlp_artifact: pathlib.Path) -> None:
    """XNNPACK's notice is gone; what other threads write meanwhile is not."""
    done = run_python(
        """
        import os, sys, threading
        from fedp.device_runtime.artifact_file import read_artifact
        from fedp.device_runtime.session import Session
        import numpy as np
        manifest, content = read_artifact(sys.argv[2])
        def write():
            for number in range(2000):
                os.write(2, b"%d\\n" % number)
        thread = threading.Thread(target=write)
        thread.start()
        session = Session.open(manifest, content, sys.argv[1])
        while thread.is_alive():  # not even once where the thread was quick
            session = Session.open(manifest, content, sys.argv[1])
        thread.join()
        x = np.zeros((1, *manifest.input_shape), np.float32)
        session.train_step(x, np.zeros(1, np.int32), np.ones(1, np.float32), 0.1)
        """,
        kind,
        mlp_artifact,
    )
    assert done.returncode == 0
    assert sorted(map(int, done.stderr.splitlines())) == list(range(2000))


def test_closed_stderr(kind: str, mlp_artifact: pathlib.Path) -> None:
    done = run_python(
        """
        import os, sys
        from fedp.device_runtime import Personalizer
        os.close(2)
        Personalizer.open(sys.argv[2], interpreter=sys.argv[1]).close()
        print("fine")
        """,
        kind,
        mlp_artifact,
    )
    assert done.stdout == "fine\n"


def test_signatures_in_turn_do_not_corrupt_memory(
    kind: str, cnn_artifact: pathlib.Path
) -> None:
    """One tflite_runtime interpreter with XNNPACK ends this in a segmentation fault."""
    done = subprocess.run(
        [
            "env",
            "MALLOC_PERTURB_=165",  # glibc fills freed memory with it.
            sys.executable,
            "-c",
            textwrap.dedent("""
                import sys
                import numpy as np
                from fedp.device_runtime.artifact_file import read_artifact
                from fedp.device_runtime.session import Session
                manifest, content = read_artifact(sys.argv[2])
                session = Session.open(manifest, content, sys.argv[1])
                random = np.random.default_rng(0)
                x = random.random((64, 28, 28, 1), np.float32)
                y = random.integers(0, 62, 64).astype(np.int32)
                ones = np.ones(20, np.float32)
                first = session.evaluate(x, y)[0], session.infer(x)
                for count in (1, 64, 20):
                    session.train_step(x[:20], y[:20], ones, 0.0)
                    assert (session.evaluate(x, y)[0] == first[0]).all()
                    session.restore(session.save())
                    infer = session.infer(x[:count])
                    assert np.abs(infer - first[1][:count]).max() < 1e-6
                print("fine")
            """),
            kind,
            str(cnn_artifact),
        ],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert (done.returncode, done.stdout) == (0, "fine\n"), done.stderr
