import collections

from hypothesis import given
from hypothesis import strategies as st

from fedp.training.sampling import sample_clients

CLIENTS = [f"c{n}" for n in range(12)]


@given(st.integers(0, 2**31 - 1), st.integers(1, 10_000), st.integers(1, 12))
def test_a_round_draws_each_client_at_most_once_and_always_the_same(seed, number, m):
    drawn = sample_clients(CLIENTS, m, seed, number)
    names = [each.client for each in drawn]
    assert len(set(names)) == len(names) == m and set(names) <= set(CLIENTS)
    again = sample_clients(CLIENTS, m, seed, number)
    assert [(p.client, *p.seed) for p in drawn] == [(p.client, *p.seed) for p in again]


def test_all_clients_are_drawn_equally_often():
    drawn = collections.Counter(
        each.client for r in range(1200) for each in sample_clients(CLIENTS, 5, 0, r)
    )
    # 1200 rounds * 5 / 12 = 500 expected; the standard deviation is 17.
    assert all(abs(drawn[client] - 500) < 5 * 17 for client in CLIENTS)


def test_rounds_and_seeds_differ():
    draws = {
        tuple((p.client, *p.seed) for p in sample_clients(CLIENTS, 5, seed, number))
        for seed in range(5)
        for number in range(1, 6)
    }
    assert len(draws) == 25
