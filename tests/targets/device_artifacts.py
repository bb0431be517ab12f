"""Exports what the device's tests train, for where there is no TensorFlow.

Usage: python tests/targets/device_artifacts.py FOLDER
"""

import pathlib
import sys

ROOT = pathlib.Path(__file__).parents[2]


def main(folder: pathlib.Path) -> None:
    sys.path.insert(0, str(ROOT))
    from fedp.export.exporter import write_artifact
    from tests.conftest import export_builtin_model, export_small_model

    folder.mkdir(parents=True, exist_ok=True)
    small = export_small_model()
    write_artifact(small.content, folder / "small.tflite", small.certificate)
    for name in ("mlp", "emnist_cnn"):
        export_builtin_model(name, folder)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
