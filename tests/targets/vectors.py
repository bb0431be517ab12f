"""Trains an artifact on its certificate's batches and saves each loss and the weights.

It needs the device install alone, so that two machines can be compared.

Usage: python tests/targets/vectors.py FOLDER OUT.npz
"""

import pathlib
import sys

import numpy as np

from fedp.device_runtime.artifact_file import read_artifact
from fedp.device_runtime.certificate import certificate_path, read_certificate
from fedp.device_runtime.interpreter import available_interpreters, installed_version
from fedp.device_runtime.session import Session
from fedp.device_runtime.verification import verify

STEPS = 10


def main(folder: pathlib.Path, out: pathlib.Path) -> int:
    arrays, passed = {}, True
    for path in sorted(folder.glob("*.tflite")):
        manifest, content = read_artifact(path)
        proof = read_certificate(certificate_path(path), manifest)
        for kind in available_interpreters():
            result = verify(manifest, content, proof, kind)
            passed = passed and result.passed
            said = "passed" if result.passed else "FAILED"
            strain = max(step.strain for step in result.steps)
            print(
                f"verify {path.stem} on {kind} {installed_version(kind)}: {said}, "
                f"{len(result.steps)} steps, at most {strain:.2%} of the tolerance"
            )
            session = Session.open(manifest, content, kind)
            losses = []
            for step in range(STEPS):
                i = step % len(proof.x)
                x = session.features(proof.x[i])
                weight, rate = proof.weight[i], proof.learning_rate
                losses.append(session.train_step(x, proof.y[i], weight, rate))
            arrays[f"{path.stem}/{kind}/loss"] = np.array(losses, np.float32)
            for name, value in session.save().items():
                arrays[f"{path.stem}/{kind}/{name}"] = value
    np.savez(out, **arrays)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main(*map(pathlib.Path, sys.argv[1:])))
