import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from studio.errors import DataError, SettingError
from studio.nn.features import Lite0
from train import metrics

F64 = torch.float64


@pytest.fixture
def random() -> torch.Generator:
    return torch.Generator().manual_seed(7)


def normal(random: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=random, dtype=F64)


def exact(mean: Tensor, root: Tensor) -> Tensor:
    """2 dim points whose mean is exactly `mean` [dim] and whose unbiased covariance is root @ root.T [dim, dim]."""
    dim = len(mean)
    axes = torch.eye(dim, dtype=F64) * math.sqrt((2 * dim - 1) / 2)
    return torch.cat([axes, -axes]) @ root.T + mean


class TestFrechetDistance:
    @pytest.mark.parametrize("count", [200, 12])  # more and fewer pictures than dimensions
    def test_a_set_is_at_zero_from_itself(self, random, count):
        x = normal(random, count, 40)
        assert metrics.frechet_distance(x, x.flip(0)) == pytest.approx(0, abs=1e-10)

    @pytest.mark.parametrize("count", [200, 12])
    def test_a_shift_costs_its_squared_length(self, random, count):
        x = normal(random, count, 40)
        shift = normal(random, 40)
        assert metrics.frechet_distance(x, x + shift) == pytest.approx(float(shift @ shift), rel=1e-9)

    def test_diagonal_covariances(self):
        s, t = torch.tensor([1.0, 2.0, 0.5, 0.0], dtype=F64), torch.tensor([3.0, 2.0, 0.1, 1.0], dtype=F64)
        mean = torch.tensor([0.0, 1.0, 0.0, -2.0], dtype=F64)
        a, b = exact(torch.zeros(4, dtype=F64), s.diag()), exact(mean, t.diag())
        # 5 of the means, and (s - t)^2 = 4 + 0 + 0.16 + 1
        assert metrics.frechet_distance(a, b) == pytest.approx(10.16, rel=1e-12)

    def test_covariances_that_do_not_commute(self):
        root_a = torch.tensor([[2.0, 0.0], [1.0, 1.0]], dtype=F64)
        root_b = torch.tensor([[1.0, 0.0], [-2.0, 3.0]], dtype=F64)
        zero = torch.zeros(2, dtype=F64)
        # C_a = [[4, 2], [2, 2]], C_b = [[1, -2], [-2, 13]]: traces 6 and 14, tr(C_a C_b) = 22, determinants 4 and 9;
        # of a 2x2 matrix the root's trace is sqrt(trace + 2 sqrt(determinant)) = sqrt(22 + 2 * 6).
        distance = metrics.frechet_distance(exact(zero, root_a), exact(zero, root_b))
        assert distance == pytest.approx(6 + 14 - 2 * math.sqrt(34), rel=1e-12)

    def test_fewer_pictures_than_dimensions_lose_nothing(self, random):
        a, b = normal(random, 30, 8), normal(random, 25, 8) * 2 + 1
        turn, _ = torch.linalg.qr(normal(random, 500, 8))  # 8 dimensions, seen in 500
        flat = metrics.frechet_distance(a, b)
        assert metrics.frechet_distance(a @ turn.T, b @ turn.T) == pytest.approx(flat, rel=1e-10)

    def test_samples_of_shifted_normals(self, random):
        a, b = normal(random, 20_000, 8), normal(random, 20_000, 8)
        b[:, 0] += 3
        assert metrics.frechet_distance(a, b) == pytest.approx(9, rel=0.03)

    def test_agrees_with_torchmetrics(self, random):
        from torchmetrics.image.fid import FrechetInceptionDistance

        a, b = normal(random, 300, 16), normal(random, 200, 16) @ normal(random, 16, 16)
        identity = torch.nn.Identity()
        identity.num_features = 16
        theirs = FrechetInceptionDistance(feature=identity).set_dtype(F64)
        theirs.update(a, real=True)
        theirs.update(b, real=False)
        assert metrics.frechet_distance(a, b) == pytest.approx(float(theirs.compute()), rel=1e-9)


def kernel_distance_by_hand(a: Tensor, b: Tensor) -> float:
    """The unbiased estimator, one pair at a time."""

    def k(x: Tensor, y: Tensor) -> float:
        return (sum(float(p) * float(q) for p, q in zip(x, y)) / len(x) + 1) ** 3

    def within(x: Tensor) -> float:
        return sum(k(p, q) for i, p in enumerate(x) for j, q in enumerate(x) if i != j) / (len(x) * (len(x) - 1))

    return within(a) + within(b) - 2 * sum(k(p, q) for p in a for q in b) / (len(a) * len(b))


class TestKernelDistance:
    def test_two_numbers_each(self):
        a, b = torch.tensor([[0.0], [1.0]]), torch.tensor([[2.0], [3.0]])
        # k(0, 1) = 1, k(2, 3) = 7^3; across: 1, 1, 3^3, 4^3
        assert metrics.kernel_distance(a, b, subsets=2) == pytest.approx((1 + 343 - 2 * 93 / 4, 0))

    def test_every_pair_counted(self, random):
        a, b = normal(random, 6, 5).float(), normal(random, 6, 5).float() + 0.5
        mean, _ = metrics.kernel_distance(a, b, subsets=1)
        assert mean == pytest.approx(kernel_distance_by_hand(a, b), rel=1e-12)

    def test_unbiased_for_small_sets(self, random):
        pairs = [(normal(random, 8, 4), normal(random, 8, 4)) for _ in range(400)]
        draws = torch.tensor([metrics.kernel_distance(a, b, subsets=1)[0] for a, b in pairs])
        error = float(draws.std()) / math.sqrt(len(draws))
        # the biased estimator is off by (E k(x, x) - E k(x, x')) * 2/8, some 2.4 here
        assert error < 0.25
        assert abs(float(draws.mean())) < 4 * error

    def test_halves_of_one_distribution(self, random):
        mean, std = metrics.kernel_distance(normal(random, 500, 16), normal(random, 500, 16), subset_size=100)
        assert abs(mean) < std
        shifted, _ = metrics.kernel_distance(normal(random, 500, 16), normal(random, 500, 16) + 1, subset_size=100)
        assert shifted > 20 * std

    def test_mean_and_deviation_over_subsets(self):
        a, b = torch.tensor([[0.0], [1.0]]), torch.tensor([[2.0], [3.0], [3.0]])
        # Pairs of b are {2, 3}, twice as often as {3, 3}: 297.5, and 1 + 1000 - (1 + 64).
        values, share = torch.tensor([297.5, 936.0]), torch.tensor([2 / 3, 1 / 3])
        for first, second in ((a, b), (b, a)):
            mean, std = metrics.kernel_distance(first, second, subsets=3000)
            assert mean == pytest.approx(float(values @ share), rel=0.05)
            assert std == pytest.approx((936 - 297.5) * math.sqrt(2 / 9), rel=0.05)

    def test_the_seed_decides_and_the_process_generator_is_left_alone(self, random):
        a, b = normal(random, 50, 4), normal(random, 50, 4)
        state = torch.get_rng_state()
        first = metrics.kernel_distance(a, b, subsets=3, subset_size=10, seed=5)
        assert metrics.kernel_distance(a, b, subsets=3, subset_size=10, seed=5) == first
        assert metrics.kernel_distance(a, b, subsets=3, subset_size=10, seed=6) != first
        assert torch.equal(torch.get_rng_state(), state)


# With k=1 the reals' balls are [-1, 1], [0, 2], [9, 11] and [10, 12]: 0.5 lies in two, 2 on the edge of one.
REAL = torch.tensor([[0.0], [1.0], [10.0], [11.0]])
FAKE = torch.tensor([[0.5], [2.0], [5.0], [20.0]])


class TestPrecisionRecall:
    def test_identical_sets(self, random):
        x = normal(random, 60, 32)
        assert metrics.precision_recall(x, x.flip(0)) == (1, 1)

    def test_identical_sets_full_of_duplicates(self, random):
        for count in (13, 20, 50):
            x = (normal(random, count, 1280) + 3).float().repeat(7, 1)  # every ball has radius 0
            assert metrics.precision_recall(x, x.flip(0)) == (1, 1)

    def test_points_on_a_line(self):
        # fake balls: [-1, 2], [0.5, 3.5], [2, 8], [5, 35] hold every real
        assert metrics.precision_recall(REAL, FAKE, k=1) == (2 / 4, 1)

    def test_missing_modes_cost_recall_and_stray_fakes_precision(self, random):
        modes = torch.tensor([0.0, 1000.0, 2000.0, 3000.0], dtype=F64)
        both = normal(random, 400, 2) + modes.repeat(100)[:, None]
        few = both[(torch.arange(400) % 4) < 1] + 1e-9  # the first mode only
        assert metrics.precision_recall(both, few) == (1, 1 / 4)
        assert metrics.precision_recall(few, both) == (1 / 4, 1)

    def test_blocks_make_no_difference(self, random, monkeypatch):
        real, fake = normal(random, 90, 3), normal(random, 70, 3) + 1
        whole = metrics.precision_recall(real, fake), metrics.density_coverage(real, fake)
        monkeypatch.setattr(metrics, "BLOCK_ELEMENTS", 1000)
        assert (metrics.precision_recall(real, fake), metrics.density_coverage(real, fake)) == whole
        assert all(0 < value < 1.5 and value != 1 for pair in whole for value in pair)


class TestDensityCoverage:
    def test_points_on_a_line(self):
        # 0.5 is in two balls and 2 in one, of 4 fakes; the balls of 0 and 1 are hit, those of 10 and 11 are not
        assert metrics.density_coverage(REAL, FAKE, k=1) == (3 / 4, 2 / 4)

    def test_density_is_counted_over_k(self):
        # With k=2 the balls are [-10, 10], [-8, 10], [1, 19] and [1, 21]: 0.5 is in 2, 2 and 5 in 4, 20 in 1.
        assert metrics.density_coverage(REAL, FAKE, k=2) == (11 / (2 * 4), 1)

    def test_one_distribution_has_a_density_of_one(self, random):
        density, coverage = metrics.density_coverage(normal(random, 1500, 4), normal(random, 1500, 4))
        assert density == pytest.approx(1, abs=0.05)
        assert coverage == pytest.approx(1 - 0.5**5, abs=0.03)  # Naeem et al. 2020, for many pictures

    def test_missing_modes_cost_coverage_and_stray_fakes_density(self, random):
        modes = torch.tensor([0.0, 1000.0], dtype=F64).repeat(200)[:, None]
        both = normal(random, 400, 2) + modes
        one = normal(random, 400, 2)
        assert metrics.density_coverage(both, one)[1] == pytest.approx(0.5, abs=0.02)
        assert metrics.density_coverage(one, both)[0] == pytest.approx(0.5, abs=0.1)


class TestInceptionScore:
    def test_certain_and_even_over_k_classes(self):
        assert metrics.inception_score(torch.eye(10)[:7].repeat(3, 1)) == pytest.approx(7)

    def test_one_class_only(self):
        assert metrics.inception_score(torch.eye(10)[:1].repeat(5, 1)) == pytest.approx(1)

    def test_doubt_lowers_it(self):
        p = torch.tensor([[0.9, 0.1], [0.1, 0.9]], dtype=F64)
        entropy = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1))
        assert metrics.inception_score(p) == pytest.approx(math.exp(math.log(2) - entropy), rel=1e-12)


class Means:
    """A feature network: each channel's mean."""

    name = "Means"
    dim = 3

    def __call__(self, images: Tensor) -> Tensor:
        return images.mean(dim=(2, 3))

    def probabilities(self, features: Tensor) -> Tensor:
        return features.softmax(dim=1)


class TestExtract:
    def test_rows_follow_the_pictures(self):
        pictures = torch.linspace(-1, 1, 7)[:, None, None, None].expand(7, 3, 4, 4)
        told: list[int] = []
        features = metrics.extract(pictures.split(3), Means(), progress=told.append)
        torch.testing.assert_close(features, torch.linspace(-1, 1, 7)[:, None].expand(7, 3))
        assert told == [3, 6, 7]

    def test_stops_at_the_limit_and_asks_for_no_more(self):
        asked: list[int] = []

        def batches():
            for i in range(5):
                asked.append(i)
                yield torch.full((3, 3, 4, 4), i / 10)

        features = metrics.extract(batches(), Means(), limit=6)
        torch.testing.assert_close(features[:, 0], torch.tensor([0, 0, 0, 0.1, 0.1, 0.1]))
        assert asked == [0, 1]
        assert len(metrics.extract(batches(), Means(), limit=4)) == 4

    def test_says_which_pictures_are_not_numbers(self):
        pictures = torch.zeros(6, 3, 4, 4)
        pictures[4, 1, 2, 3] = math.nan
        with pytest.raises(DataError, match=r"among 4\.\.6 .* diverged"):
            metrics.extract(pictures.split(3), Means())

    def test_refuses_nothing(self):
        with pytest.raises(DataError, match="0 pictures"):
            metrics.extract([], Means())
        with pytest.raises(SettingError, match="0 pictures"):
            metrics.extract([torch.zeros(1, 3, 4, 4)], Means(), limit=0)


class TestEvaluate:
    NAMES = ["FID", "KID", "KID-std", "precision", "recall", "density", "coverage"]

    def test_values_are_those_of_the_functions(self, random):
        real, fake = normal(random, 30, 6), normal(random, 40, 6) + 0.5
        values = metrics.evaluate(real, fake, "Lite0", probabilities=fake.softmax(dim=1), seed=3)
        kid, kid_std = metrics.kernel_distance(real, fake, subset_size=15, seed=3)
        precision, recall = metrics.precision_recall(real, fake, k=3)
        density, coverage = metrics.density_coverage(real, fake, k=5)
        assert values == {
            "Lite0-FID": metrics.frechet_distance(real, fake), "Lite0-KID": kid, "Lite0-KID-std": kid_std,
            "Lite0-precision": precision, "Lite0-recall": recall,
            "Lite0-density": density, "Lite0-coverage": coverage,
            "Lite0-IS": metrics.inception_score(fake.softmax(dim=1)),
        }
        assert precision != recall and kid_std > 0

    def test_only_what_the_papers_measured_in_inception_bears_their_name(self, random):
        x = normal(random, 12, 4)
        assert list(metrics.evaluate(x, x, "Inception", x.softmax(dim=1))) == [
            "FID", "KID", "KID-std", "Inception-precision", "Inception-recall", "Inception-density",
            "Inception-coverage", "IS",
        ]
        assert list(metrics.evaluate(x, x, "Lite0")) == [f"Lite0-{name}" for name in self.NAMES]

    def test_too_few_pictures(self, random):
        with pytest.raises(DataError, match="5 pictures are too few to measure; give at least 6"):
            metrics.evaluate(normal(random, 30, 4), normal(random, 5, 4), "Lite0")

    @pytest.mark.parametrize(
        ("function", "count"),
        [(metrics.frechet_distance, 1), (metrics.kernel_distance, 1), (metrics.precision_recall, 3),
         (metrics.density_coverage, 5)],
    )
    def test_each_function_says_its_least(self, random, function, count):
        with pytest.raises(DataError, match=rf"{count} pictures .* at least {count + 1}"):
            function(normal(random, count, 4), normal(random, 30, 4))
        function(normal(random, count + 1, 4), normal(random, 30, 4))

    def test_features_of_two_networks_are_a_bug(self, random):
        with pytest.raises(ValueError, match=r"\(30, 4\) and \(30, 5\)"):
            metrics.evaluate(normal(random, 30, 4), normal(random, 30, 5), "Lite0")


def discs(count: int, seed: int) -> Tensor:
    """Pictures [count, 3, 64, 64] of eight overlapping discs of random place, size and colour."""
    random = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.linspace(0, 1, 64), torch.linspace(0, 1, 64), indexing="ij")
    pictures = torch.full((count, 3, 64, 64), 0.8)
    for picture in pictures:
        for cx, cy, radius, *colour in torch.rand(8, 6, generator=random):
            inside = (x - cx) ** 2 + (y - cy) ** 2 < (0.05 + 0.2 * radius) ** 2
            picture[:, inside] = torch.stack(colour)[:, None] * 2 - 1
    return pictures


def blurred(pictures: Tensor, sigma: float) -> Tensor:
    taps = torch.exp(-torch.arange(-8.0, 9).square() / (2 * sigma**2))
    taps = (taps / taps.sum()).expand(3, 1, 1, 17)
    x = F.conv2d(F.pad(pictures, (8, 8, 8, 8), mode="reflect"), taps, groups=3)
    return F.conv2d(x, taps.transpose(2, 3), groups=3)


def noisy(pictures: Tensor, sigma: float) -> Tensor:
    return pictures + sigma * torch.randn(pictures.shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("harm", "strengths"), [(blurred, (0.7, 1.5, 4)), (noisy, (0.1, 0.3, 0.9))])
def test_more_harm_is_further_away(harm, strengths):
    lite0 = Lite0()
    real = metrics.extract(discs(16, seed=1).split(8), lite0)
    pictures = discs(16, seed=2)
    fakes = [metrics.extract(p.split(8), lite0) for p in (pictures, *(harm(pictures, s) for s in strengths))]
    frechet = [metrics.frechet_distance(real, fake) for fake in fakes]
    kernel = [metrics.kernel_distance(real, fake, subsets=1)[0] for fake in fakes]
    assert frechet == sorted(frechet) and frechet[-1] > 2 * frechet[0]
    assert kernel == sorted(kernel) and kernel[-1] > 0.05
