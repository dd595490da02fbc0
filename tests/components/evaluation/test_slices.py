import numpy as np

from components.evaluation.slices import bins, feature_slices, in_order


def test_bins_hold_a_third_each_and_are_named_by_what_is_in_them():
    values = np.random.default_rng(0).permutation(300)
    names = np.array(bins(values))
    assert sorted(set(names), key=in_order) == ["0 to 99", "100 to 199", "200 to 299"]
    for name in set(names):
        low, high = map(int, name.split(" to "))
        assert values[names == name].min() == low and values[names == name].max() == high


def test_equal_values_are_in_one_bin():
    assert bins(np.array([5, 5, 5, 5])) == ["5"] * 4
    assert set(bins(np.array([1] * 90 + [2] * 10))) == {"1", "2"}
    assert bins(np.array([7])) == ["7"]


def test_what_is_alike_in_all_images_makes_no_slices():
    side = np.full(90, 32)
    features = {"mean": np.linspace(0, 1, 90), "height": side, "width": side}
    assert feature_slices(features).keys() == {"brightness"}
    assert feature_slices(features | {"width": np.arange(90)}).keys() == {"brightness", "size"}
    assert feature_slices({name: values[:1] for name, values in features.items()}) == {}
