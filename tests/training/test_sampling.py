import collections

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedp.device_runtime.errors import DataError
from fedp.training.data.splits import ClientSplit
from fedp.training.sampling import all_clients, sample_clients

CLIENTS = [f"c{n:02d}" for n in range(20)]


class Data:
    """Clients, of whom some have nothing but a test part."""

    def __init__(self, without_training_part=()):
        self.without = without_training_part

    def clients(self):
        return CLIENTS

    def train_count(self, client):
        return 0 if client in self.without else None


SPLIT = ClientSplit.of(CLIENTS, 0, validation=0.2, test=0.2)
TRAIN = SPLIT.select(CLIENTS, "train")


def draw(m, seed, number, attempt=0):
    drawn = sample_clients(Data(), SPLIT, m, [seed], number, attempt)
    return [(p.client, *p.seed) for p in drawn]


@given(st.integers(0, 2**31 - 1), st.integers(1, 10_000), st.integers(1, 12))
def test_a_round_draws_each_client_at_most_once_and_always_the_same(seed, number, m):
    assert len(TRAIN) == 12
    names = [client for client, *_ in draw(m, seed, number)]
    assert len(set(names)) == len(names) == m and set(names) <= set(TRAIN)
    assert draw(m, seed, number) == draw(m, seed, number)


def test_all_training_clients_are_drawn_equally_often():
    drawn = collections.Counter(
        client for r in range(1200) for client, *_ in draw(5, 0, r)
    )
    # 1200 rounds * 5 / 12 = 500 expected; the standard deviation is 17.
    assert set(drawn) == set(TRAIN)
    assert all(abs(drawn[client] - 500) < 5 * 17 for client in TRAIN)


def test_rounds_seeds_and_attempts_differ():
    draws = {
        tuple(draw(5, seed, number, attempt))
        for seed in range(5)
        for number in range(1, 6)
        for attempt in range(2)
    }
    assert len(draws) == 50


def test_more_than_there_are_is_refused():
    with pytest.raises(DataError, match="13 train clients"):
        draw(13, 0, 1)


def test_an_epoch_of_centralized_training_visits_everybody_in_an_order_of_its_own():
    first, second = (
        [p.client for p in all_clients(Data(), SPLIT, [0], number)] for number in (1, 2)
    )
    assert sorted(first) == sorted(second) == TRAIN
    assert first != second


def test_clients_with_nothing_but_a_test_part_are_never_drawn():
    data = Data(TRAIN[::2])
    left = set(TRAIN[1::2])
    for number in range(20):
        drawn = {p.client for p in sample_clients(data, SPLIT, 6, [0], number)}
        assert drawn == left
        assert {p.client for p in all_clients(data, SPLIT, [0], number)} == left
    with pytest.raises(DataError, match="only 6 of 20"):
        sample_clients(data, SPLIT, 7, [0], 1)
