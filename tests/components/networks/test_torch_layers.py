"""The fast PyTorch layers mean what PyTorch's own do."""

import pytest
import torch
from torch import nn

from components.networks.torch_layers import Dropout, GlobalAverage

TYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])


@TYPES
@pytest.mark.parametrize("rate", [0.25, 0.5, 0.7])
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_dropout_zeroes_its_share_and_scales_the_others_up(dtype, rate, order):
    torch.manual_seed(0)
    x = torch.ones(64, 16, 15, 13, dtype=dtype).contiguous(memory_format=order)
    y = Dropout(rate).train()(x)
    assert y.dtype == dtype and y.shape == x.shape
    assert y.is_contiguous(memory_format=order)
    share = (y == 0).double().mean().item()
    assert share == pytest.approx(rate, abs=1 / 256 + 0.005)
    (scale,) = y[y != 0].unique().tolist()
    assert scale == pytest.approx(1 / (1 - rate), rel=0.01)
    assert y.double().mean().item() == pytest.approx(1, rel=0.02)
    # Channels, rows, columns and images lose the same share: nothing repeats along an axis.
    for axis in range(4):
        others = [a for a in range(4) if a != axis]
        shares = (y == 0).double().mean(others)
        deviation = (rate * (1 - rate) * len(shares) / y.numel()) ** 0.5
        assert (shares - share).abs().max() < 5 * deviation


@TYPES
def test_dropouts_gradient_goes_where_values_went(dtype):
    x = torch.randn(8, 4, 6, 6, dtype=dtype).requires_grad_()
    y = Dropout(0.5).train()(x)
    y.sum().backward()
    torch.testing.assert_close(x.grad, torch.where(y == 0, 0, 2).to(dtype))


def test_dropout_follows_the_seed_and_changes_from_call_to_call():
    layer, x = Dropout(0.5).train(), torch.ones(7, 33)
    torch.manual_seed(3)
    first, second = layer(x), layer(x)
    torch.manual_seed(3)
    assert torch.equal(layer(x), first)
    assert not torch.equal(first, second)


def test_dropout_does_nothing_in_validation_or_at_rate_zero_but_something_at_a_tiny_rate():
    x = torch.randn(400, 100)
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0).train()(x) is x
    assert 0 < (Dropout(1e-4).train()(x) == 0).float().mean() < 0.01


@pytest.mark.parametrize("shape", [(5, 3, 4, 7), (1, 1, 1, 1), (3, 9)])
def test_dropout_takes_odd_shapes_and_strides(shape):
    x = torch.ones(*shape[:-1], 2 * shape[-1])[..., ::2]
    y = Dropout(0.5).train()(x)
    assert y.shape == x.shape
    assert set(y.unique().tolist()) <= {0.0, 2.0}


@TYPES
def test_the_global_average_and_its_gradient_are_those_of_the_mean(dtype):
    x = torch.randn(6, 5, 4, 3, dtype=dtype).contiguous(memory_format=torch.channels_last)
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    factor = torch.randn(6, 5, dtype=dtype)
    ours, theirs = GlobalAverage().train()(a), nn.AdaptiveAvgPool2d(1)(b).flatten(1)
    torch.testing.assert_close(ours, theirs)
    (ours * factor).sum().backward()
    (theirs * factor).sum().backward()
    torch.testing.assert_close(a.grad, b.grad)
    assert a.grad.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(GlobalAverage().eval()(x), ours.detach())
