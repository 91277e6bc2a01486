import pytest
import torch

from benchmark.device import find_device, tf32
from microlens.errors import RecipeError

CUDA, CPU = torch.device("cuda"), torch.device("cpu")


def allowed():
    return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize(("is_on", "within"), [(True, ("high", True)), (False, ("highest", False))])
def test_tf32_is_for_products_and_for_recurrent_layers_or_for_neither(is_on, within):
    """CuDNN's own word is another than that of products of matrices; both are as before at the end."""
    before = allowed()
    with tf32(CUDA, is_on=is_on):
        assert within == allowed()
    with pytest.raises(ZeroDivisionError), tf32(CUDA, is_on=is_on):
        raise ZeroDivisionError
    with tf32(CPU, is_on=is_on):
        assert before == allowed()

    assert before == allowed()


@pytest.mark.parametrize("name", ["meta", "mps", "xpu:0"])
def test_what_the_benchmark_does_not_compute_on_is_refused(name):
    """Although torch has a word for it, and may even find one."""
    with pytest.raises(RecipeError, match=f"does not compute on device '{name}'"):
        find_device(name)
