import base64

import numpy as np
import pytest

from fedp.training.evaluation.png import data_address, is_image

tf = pytest.importorskip("tensorflow", reason="decodes with TensorFlow")


def decoded(address):
    prefix, _, text = address.partition(",")
    assert prefix == "data:image/png;base64"
    return tf.io.decode_png(base64.b64decode(text)).numpy()


@pytest.mark.parametrize("shape", [(5, 3), (5, 3, 1), (5, 3, 3)])
def test_another_decoder_reads_the_same_pixels(shape):
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    np.testing.assert_array_equal(decoded(data_address(image)), image.reshape(5, 3, -1))


def test_numbers_from_0_to_1_are_grey_and_others_are_spread():
    half = np.array([[0.0, 0.5], [0.2, 0.5]])
    np.testing.assert_array_equal(decoded(data_address(half))[..., 0][0], [0, 128])
    wide = np.array([[-1.0, 0.0, 3.0]])
    np.testing.assert_array_equal(decoded(data_address(wide))[..., 0][0], [0, 64, 255])


def test_a_large_image_is_thinned_out():
    image = np.zeros((500, 300), np.uint8)
    assert decoded(data_address(image)).shape == (84, 50, 1)


def test_what_is_an_image():
    assert is_image((28, 28)) and is_image((28, 28, 1)) and is_image((32, 32, 3))
    assert not is_image((80,)) and not is_image((28, 28, 2)) and not is_image(())
