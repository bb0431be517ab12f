import dataclasses
import math

import numpy as np

from fedp.device_runtime.contract import Policy
from fedp.device_runtime.evidence import Candidate
from fedp.device_runtime.guards import decide
from fedp.training.tuning.records import ClientRecord, Measured, RecordFile

POLICY = Policy(learning_rate=0.1, epochs=2)
BEFORE = Measured((1.0, float(np.float32(0.3))), (0.0, 1.0), 0.5)
AFTER = Measured((0.5, math.nan), (1.0, 1.0), 0.75, finite=False)


ONE, TWO, THREE = (Candidate(n, 1.0) for n in (1, 2, 3))


def record(client="ann", after=None, lasted=1):
    after = after or {ONE: BEFORE, TWO: AFTER}
    return ClientRecord(POLICY, client, 8, 2, 9, lasted, BEFORE, after)


def test_a_line_brings_back_the_record():
    again = ClientRecord.from_json(record().to_json())
    assert again.key == record().key
    assert again.initial == BEFORE and again.after[ONE] == BEFORE
    assert math.isnan(again.after[TWO].losses[1]) and not again.after[TWO].finite
    assert "NaN" not in record().to_json()


def test_the_guard_sees_what_it_saw():
    policy = dataclasses.replace(POLICY, min_hold_out=2)
    decision = decide(record().evidence(policy), policy)
    assert not decision.keep and "NaN" in decision.reason
    # Fewer epochs end before the loss exploded.
    policy = dataclasses.replace(policy, epochs=1)
    assert "NaN" not in decide(record().evidence(policy), policy).reason


def test_what_was_added_is_there_after_a_restart(tmp_path):
    path = tmp_path / "new" / "records.jsonl"
    file = RecordFile(path)
    file.add(record("ann"))
    file.add(record("bob"))
    file.close()
    # Killed while writing the next one.
    with open(path, "a") as stream:
        stream.write(record("cyd").to_json()[:40])
    file = RecordFile(path)
    assert file.get(POLICY, "ann") and file.get(POLICY, "bob")
    assert file.get(POLICY, "cyd") is None
    file.add(record("cyd"))
    file.close()
    file = RecordFile(path)
    assert sorted(r.client for r in file) == ["ann", "bob", "cyd"]
    file.close()


def test_a_damaged_line_is_one_record_less(tmp_path):
    path = tmp_path / "records.jsonl"
    path.write_text("{}\nnonsense\n" + record("ann").to_json() + "\n")
    file = RecordFile(path)
    assert [r.client for r in file] == ["ann"]
    file.close()


def test_epochs_of_two_tunings_add_up(tmp_path):
    file = RecordFile(tmp_path / "records.jsonl")
    file.add(record("ann", {ONE: BEFORE}))
    file.add(record("ann", {THREE: AFTER}))
    assert set(file.get(POLICY, "ann").after) == {ONE, THREE}
    file.close()
