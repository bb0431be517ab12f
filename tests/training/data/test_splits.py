import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedp.device_runtime.errors import DataError
from fedp.training.data import ClientSplit, Examples, choose_clients, split_examples

CLIENTS = [f"c{i:03d}" for i in range(100)]
SPLIT = ClientSplit.of(CLIENTS, seed=7)
TRAIN, VALIDATION, TEST = (
    SPLIT.select(CLIENTS, role) for role in ("train", "validation", "test")
)
names = st.lists(st.text(max_size=8), min_size=3, max_size=80, unique=True)
shares = st.floats(0.01, 0.98)


@given(names, st.integers(), shares, shares)
def test_counts_are_the_shares_rounded_with_one_client_a_role(
    clients, seed, validation, test
):
    if validation + test >= 1:
        validation, test = validation / 2, test / 2
    split = ClientSplit.of(clients, seed, validation, test)
    count = Counter(split.role(client) for client in clients)
    n = len(clients)
    assert sum(count.values()) == n and min(count[r] for r in count) >= 1
    assert len(count) == 3
    assert count["test"] == min(max(round(n * test), 1), n - 2)
    room = n - count["test"] - 1
    assert count["validation"] == min(max(round(n * validation), 1), room)


@given(names, st.integers(), st.randoms())
def test_roles_do_not_depend_on_order_and_survive_json(clients, seed, random):
    split = ClientSplit.of(clients, seed)
    shuffled = clients * 2
    random.shuffle(shuffled)
    assert ClientSplit.of(shuffled, seed) == split
    again = ClientSplit.from_json(json.loads(json.dumps(split.to_json())))
    assert again == split
    assert [again.role(c) for c in clients] == [split.role(c) for c in clients]


def test_defaults_give_70_10_20_and_another_seed_other_clients():
    assert (len(TRAIN), len(VALIDATION), len(TEST)) == (70, 10, 20)
    assert sorted(TRAIN + VALIDATION + TEST) == CLIENTS
    other = ClientSplit.of(CLIENTS, seed=8).select(CLIENTS, "test")
    assert len(other) == 20 and other != TEST


def test_many_clients_are_split_by_the_shares_alone_and_not_looked_at():
    seen = 0

    def endless():
        nonlocal seen
        while True:
            seen += 1
            yield f"c{seen}"

    many = ClientSplit.of(endless(), 7, validation=0.1, test=0.25)
    assert seen == 10_001
    assert (many.validation_from, many.test_from) == (pytest.approx(0.65), 0.75)
    few = ClientSplit.of((f"c{i}" for i in range(10_000)), 7)
    assert few.validation_from != pytest.approx(0.7, abs=1e-9)
    with pytest.raises(DataError, match="sum below 1"):
        ClientSplit.of(endless(), 0, validation=0.5, test=0.5)


def test_a_sample_is_drawn_without_listing_everybody():
    class Names(list):
        asked = 0

        def __getitem__(self, number):
            Names.asked += 1
            return f"c{number}"

        def __len__(self):
            return 10**12

    random = np.random.default_rng(1)
    chosen = ClientSplit.of(CLIENTS, 0).sample(Names(), "validation", 50, random)
    assert len(set(chosen)) == 50 and Names.asked < 2000
    # Uniform on 0..1e12: the mean of 50 has a deviation of 4 %.
    assert 0.3e12 < np.mean([int(name[1:]) for name in chosen]) < 0.7e12


@given(names, st.sampled_from(["train", "validation", "test"]), st.integers(0, 2**32))
def test_a_sample_of_any_size_is_of_the_role_and_of_the_seed(clients, role, seed):
    split = ClientSplit.of(clients, 3)
    everybody = split.select(clients, role)
    assert split.count(clients, role) == len(everybody)
    assert list(split.iterate(iter(clients), role)) == everybody
    for count in {0, 1, len(everybody) // 2, len(everybody)}:
        random = np.random.default_rng(seed)
        chosen = split.sample(clients, role, count, random)
        assert len(set(chosen)) == count and set(chosen) <= set(everybody)
        again = np.random.default_rng(seed)
        assert split.sample(clients, role, count, again) == chosen
    random = np.random.default_rng(seed)
    most = split.sample_up_to(clients, role, len(everybody) + 3, random)
    assert sorted(most) == sorted(everybody)
    with pytest.raises(DataError, match=f"only {len(everybody)} of {len(clients)}"):
        split.sample(clients, role, len(everybody) + 1, random)


def test_a_sample_that_needs_a_pass_over_all_names_is_uniform_too():
    drawn = Counter()
    for seed in range(300):
        drawn.update(
            SPLIT.sample(CLIENTS, "validation", 9, np.random.default_rng(seed))
        )
    # 9 of 10, 300 times: 270 each, with a deviation of sqrt(300 * 0.9 * 0.1) = 5.2.
    assert set(drawn) == set(VALIDATION) and 240 < min(drawn.values())


def test_split_is_of_constant_size():
    many = ClientSplit.of((str(i) for i in range(20_000)), seed=7)
    assert set(many.to_json()) == {"seed", "validation_from", "test_from"}
    assert len(json.dumps(many.to_json())) < 120


@pytest.mark.parametrize(
    ("clients", "shares", "says"),
    [
        (["a", "b", "b"], {}, "2 clients cannot be split"),
        (CLIENTS, {"test": 0.0}, "test=0.0"),
        (CLIENTS, {"test": 0.5, "validation": 0.5}, "sum below 1"),
        (CLIENTS, {"validation": -0.1}, "validation=-0.1"),
    ],
)
def test_splits_that_cannot_be(clients, shares, says):
    with pytest.raises(DataError, match=says):
        ClientSplit.of(clients, 0, **shares)


@pytest.mark.parametrize(
    "fields", [{}, {"seed": 1, "validation_from": "x", "test_from": 1}, {"foo": 1}]
)
def test_foreign_json(fields):
    with pytest.raises(DataError, match="client split"):
        ClientSplit.from_json(fields)


@given(st.integers(0, 300), st.integers(1, 100), st.integers(), st.text())
def test_examples_split_into_parts_that_share_none(n, percent, seed, client):
    examples = Examples(np.arange(n)[:, np.newaxis], np.arange(n, dtype=np.int32))
    support, query = split_examples(client, examples, seed, test=percent / 100)
    assert len(query.y) == -(-n * percent // 100)  # exact integer ceiling
    assert sorted([*support.y, *query.y]) == list(range(n))
    for part in (support, query):
        np.testing.assert_array_equal(part.x[:, 0], part.y)
    again = split_examples(client, examples, seed, test=percent / 100)
    np.testing.assert_array_equal(again[1].y, query.y)


def test_examples_are_shuffled_by_seed_and_client():
    examples = Examples(np.zeros((100, 1)), np.arange(100, dtype=np.int32))
    parts = [
        tuple(split_examples(client, examples, seed)[1].y)
        for client, seed in [("a", 0), ("b", 0), ("a", 1)]
    ]
    assert len({*parts, tuple(range(50)), tuple(range(50, 100))}) == 5


@pytest.mark.parametrize("train_count", [1, 6, 9])
def test_a_split_that_the_data_come_with_is_kept(train_count):
    examples = Examples(np.arange(10)[:, np.newaxis], np.arange(10, dtype=np.int32))
    support, query = split_examples("a", examples, 0, train_count=train_count)
    assert [*support.y, *query.y] == list(range(10)) and len(support.y) == train_count
    np.testing.assert_array_equal(support.x[:, 0], support.y)


@pytest.mark.parametrize("train_count", [None, 0, 10])
def test_a_split_with_an_empty_part_is_shuffled(train_count):
    examples = Examples(np.zeros((10, 1)), np.arange(10, dtype=np.int32))
    expected = split_examples("a", examples, 0)
    found = split_examples("a", examples, 0, train_count=train_count)
    np.testing.assert_array_equal(found[1].y, expected[1].y)


def test_one_example_is_query_and_a_wrong_share_is_an_error():
    one = Examples(np.zeros((1, 2)), np.zeros(1, np.int32))
    support, query = split_examples("a", one, 0)
    assert support.x.shape == (0, 2) and len(query.y) == 1
    for share in (0.0, 1.5, float("nan")):
        with pytest.raises(DataError, match="share test="):
            split_examples("a", one, 0, test=share)


def choose(wanted, trained_data=True, data=CLIENTS, **flags):
    return choose_clients(data, SPLIT, wanted, trained_data, **flags)


def test_roles_and_names():
    assert choose("test") == TEST
    assert choose("validation", trained_data=False) == VALIDATION
    assert choose(f"{TEST[1]}, {TEST[0]},{TEST[1]},") == [TEST[1], TEST[0]]
    comma = next(f"a,{i}" for i in range(99) if SPLIT.role(f"a,{i}") == "test")
    assert choose(comma, data=[comma]) == [comma]


@pytest.mark.parametrize("trained_data", [True, False])
@pytest.mark.parametrize("wanted", ["train", "all", ",".join([*TEST, *TRAIN])])
def test_training_clients_cannot_evaluate(wanted, trained_data):
    with pytest.raises(DataError) as caught:
        choose(wanted, trained_data)
    message = str(caught.value)
    assert f"70 of the chosen clients are training clients ({TRAIN[0]}" in message
    assert sum(name in message for name in TRAIN) == 3 and "\n" not in message
    assert "--clients test" in message and "--seen-clients" in message
    assert ("--new-clients" in message) is not trained_data


def test_one_training_client_among_names_is_named():
    with pytest.raises(DataError, match=rf"1 of the chosen .*\({TRAIN[5]}\)"):
        choose(f"{TEST[0]},{TRAIN[5]}")


def test_seen_clients_allows_training_clients():
    assert choose("train", seen_clients=True) == TRAIN
    assert choose("all", seen_clients=True) == CLIENTS
    assert choose("test", seen_clients=True) == TEST


@pytest.mark.parametrize("wanted", ["test", "validation", "train", "all"])
def test_new_clients_means_everybody_whatever_the_role(wanted):
    assert choose(wanted, trained_data=False, new_clients=True) == CLIENTS


def test_new_clients_by_name_and_not_on_the_training_data():
    assert choose(TRAIN[0], trained_data=False, new_clients=True) == [TRAIN[0]]
    with pytest.raises(DataError, match="--new-clients does not fit"):
        choose("test", trained_data=True, new_clients=True)


def test_unknown_names_and_nobody():
    with pytest.raises(DataError, match=r"no client x, y; .* such as c000, c001, c002"):
        choose(f"x,{TEST[0]},y")
    with pytest.raises(DataError, match="no client is named"):
        choose(" , ")
    with pytest.raises(DataError, match="none of the 70 clients is a test client"):
        choose("test", data=TRAIN)
