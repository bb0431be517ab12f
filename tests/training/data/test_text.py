import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedp.training.data import text


@pytest.fixture(scope="module")
def baseline():
    pytest.importorskip("tensorflow_federated", reason="TFF is compared with")
    from tensorflow_federated.python.simulation.baselines import client_spec
    from tensorflow_federated.python.simulation.baselines.shakespeare import (
        char_prediction_preprocessing,
    )

    spec = client_spec.ClientSpec(num_epochs=1, batch_size=64, shuffle_buffer_size=1)
    return char_prediction_preprocessing, spec


def test_the_vocabulary_is_that_of_tff(baseline):
    module, _ = baseline
    assert list(text.VOCABULARY) == module.CHAR_VOCAB and len(text.VOCABULARY) == 86
    assert module.get_special_tokens() == (text.PAD, text.OOV, text.BOS, text.EOS)
    assert len(set(text.TOKEN_NAMES)) == 90 and text.TOKEN_NAMES[1] == "d"
    assert not any(set(name) & set("\r\n") for name in text.TOKEN_NAMES)


letters = st.sampled_from([*text.VOCABULARY, "~", "é", "\0"])


@settings(max_examples=12, deadline=None)
@given(st.lists(st.text(letters, max_size=200), min_size=1, max_size=4))
def test_windows_are_those_of_tff(baseline, snippets):
    import tensorflow as tf

    module, spec = baseline
    encoded = [snippet.encode() for snippet in snippets]
    preprocess = module.create_preprocess_fn(spec, text.WINDOW)
    batches = preprocess(tf.data.Dataset.from_tensor_slices({"snippets": encoded}))
    x, y = (np.concatenate(a) for a in zip(*batches.as_numpy_iterator()))
    kept = (y != text.PAD).any(axis=1)
    found = text.windows(encoded)
    np.testing.assert_array_equal(found.x, x[kept])
    np.testing.assert_array_equal(found.y, np.where(y == text.PAD, -1, y)[kept])
    assert found.x.dtype == found.y.dtype == np.int32
    assert len(found.x) == sum(text.window_count(len(s)) for s in encoded)


@pytest.mark.parametrize(("size", "count"), [(0, 1), (79, 1), (80, 1), (81, 2)])
def test_a_window_with_nothing_to_predict_is_left_out(size, count):
    # 80 characters are 82 tokens with beginning and end; the end opens a run of its
    # own, behind which there is only padding.
    x, y = text.windows([b"d" * size])
    assert text.window_count(size) == count == len(x)
    assert (y >= 0).any(axis=1).all()
    # Each window's first token is nobody's label.
    kept = size + 2 - (size == 80)
    assert (y >= 0).sum() == kept - count


def test_no_text_gives_no_window():
    x, y = text.windows([])
    assert x.shape == y.shape == (0, 80)


def test_characters_without_a_token_are_one_each():
    assert text.tokens("dé漢\ud800").tolist() == [1, text.OOV, text.OOV, text.OOV]
    assert text.tokens("dé".encode()).tolist() == [1, text.OOV, text.OOV]
