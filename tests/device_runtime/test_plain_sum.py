from fedp.device_runtime.plain_sum import plain_sum


def test_every_addition_is_rounded() -> None:
    assert plain_sum([1e16, 1.0, 1.0]) == 1e16
    assert plain_sum([]) == 0.0
