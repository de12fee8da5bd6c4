"""How good and how varied generated pictures are, measured on features of two sets of pictures.

`extract` turns pictures into features [N, dim] once; every metric is then a pure function of features. torchmetrics
gives KID's estimator. The rest is computed here, from the papers' equations: torchmetrics' FID takes roots of the
eigenvalues of a product of covariances, which halves the digits where there are fewer pictures than dimensions, its
Inception Score shuffles with the process's random generator, and it has no precision, recall, density or coverage.

Every figure depends on the network and on the number of pictures: compare only figures with both alike.
"""

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from studio.errors import DataError, SettingError
from studio.nn.features import FeatureNetwork

BLOCK_ELEMENTS = 1 << 24  # of a block of distances, 128 MiB; those of all pairs of 50,000 pictures are 20 GB
KID_SUBSET = 1000  # pictures, as the paper has it
PUBLISHED = {"Inception": ("FID", "KID", "KID-std", "IS")}  # the papers define these in that network


def extract(
    images: Iterable[Tensor],
    network: FeatureNetwork,
    limit: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Tensor:
    """Features [N, dim] of pictures, float32 on the CPU.

    images: batches [n, 1 or 3, H, W] in [-1, 1]; at most `limit` pictures are taken, and no batch beyond them is
    asked for. `progress` is told the number done after each batch. Raises DataError for no picture and for one with
    nan or infinite values, SettingError for a limit below 1.
    """
    if limit is not None and limit < 1:
        raise SettingError(f"{limit} pictures are too few to measure; give at least 2")
    parts: list[Tensor] = []
    done = 0
    for batch in images:
        batch = batch if limit is None else batch[: limit - done]
        if not torch.isfinite(batch).all():
            raise DataError(
                f"a picture among {done + 1}..{done + len(batch)} has values that are not numbers (nan or infinite); "
                "the model has diverged: measure an earlier state of it"
            )
        parts.append(network(batch).float().cpu())
        done += len(batch)
        if progress is not None:
            progress(done)
        if limit is not None and done >= limit:
            break
    if done == 0:
        raise DataError("there are 0 pictures to measure; give at least 2")
    return torch.cat(parts)


def evaluate(
    real: Tensor, fake: Tensor, network_name: str, probabilities: Tensor | None = None, seed: int = 0
) -> dict[str, float]:
    """All metrics of features [N, dim] and [M, dim], named after the network: Lite0-FID, Lite0-KID, Lite0-recall ...

    Only Inception's FID, KID and IS, which the papers define in it, stand without a prefix. IS is among them where
    the fakes' class `probabilities` [M, classes] are given. KID takes subsets of 1000 pictures, and of half the
    smaller set where that is less, so that the subsets differ. Raises DataError for fewer than 6 pictures in a set.
    """
    _check(real, fake, at_least=6)
    values = {"FID": frechet_distance(real, fake)}
    subset = min(KID_SUBSET, len(real) // 2, len(fake) // 2)
    values["KID"], values["KID-std"] = kernel_distance(real, fake, subset_size=subset, seed=seed)
    values["precision"], values["recall"] = precision_recall(real, fake)
    values["density"], values["coverage"] = density_coverage(real, fake)
    if probabilities is not None:
        values["IS"] = inception_score(probabilities)
    bare = PUBLISHED.get(network_name, ())
    return {name if name in bare else f"{network_name}-{name}": value for name, value in values.items()}


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Squared Fréchet distance of the normal distributions fitted to a [N, dim] and b [M, dim]; at least 0.

    Heusel et al. 2017, "GANs Trained by a Two Time-Scale Update Rule", eq. 6:
    |mean_a - mean_b|^2 + Tr(C_a + C_b - 2 (C_a C_b)^(1/2)). With centred features A and B scaled so that C_a = A^T A
    and C_b = B^T B, the trace of the root is the sum of the singular values of A B^T. No covariance is formed, so
    that fewer pictures than dimensions cost less and not accuracy. In float64. Raises DataError below 2 pictures.
    """
    _check(a, b, at_least=2)
    mean_a, factor_a = _moments(a)
    mean_b, factor_b = _moments(b)
    cross = torch.linalg.svdvals(factor_a @ factor_b.T).sum()
    distance = (mean_a - mean_b).square().sum() + factor_a.square().sum() + factor_b.square().sum() - 2 * cross
    return max(float(distance), 0.0)  # rounding alone goes below


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean [dim], and a factor F [at most dim, dim] of the unbiased covariance: F^T F."""
    x = x.double()
    mean = x.mean(dim=0)
    factor = (x - mean) / (len(x) - 1) ** 0.5
    return mean, torch.linalg.qr(factor, mode="r").R if len(x) > x.shape[1] else factor


def kernel_distance(
    a: Tensor, b: Tensor, subsets: int = 100, subset_size: int = KID_SUBSET, seed: int = 0
) -> tuple[float, float]:
    """Kernel distance (KID), the squared maximum mean discrepancy under (x.y / dim + 1)^3: mean and std over subsets.

    a [N, dim], b [M, dim]. Bińkowski et al. 2018, "Demystifying MMD GANs", section 4: the mean kernel
    between different rows of a, plus that of b, less twice the mean between a and b. Unbiased: two sets of one
    distribution give values around 0, below as well as above. Each subset draws `subset_size` rows of either without
    replacement, or as many as the smaller has. The std is that of one subset's value. In float64. Raises DataError
    below 2 pictures.
    """
    from torchmetrics.image.kid import poly_mmd  # takes seconds, and only this function needs it

    _check(a, b, at_least=2)
    a, b = a.double(), b.double()
    size = min(subset_size, len(a), len(b))
    random = torch.Generator().manual_seed(seed)
    values = []
    for _ in range(subsets):
        rows_a = torch.randperm(len(a), generator=random)[:size].to(a.device)
        rows_b = torch.randperm(len(b), generator=random)[:size].to(b.device)
        values.append(poly_mmd(a[rows_a], b[rows_b]))
    stacked = torch.stack(values)
    return float(stacked.mean()), float(stacked.std(correction=0))


def precision_recall(real: Tensor, fake: Tensor, k: int = 3) -> tuple[float, float]:
    """Improved precision and recall, each in 0..1.

    real [N, dim], fake [M, dim]. Kynkäänniemi et al. 2019, "Improved Precision and Recall", eq. 1 and 2: a set's
    manifold is the union of the balls that reach from each of its points to its k-th neighbour; precision is the
    share of fakes in the reals' manifold (are they realistic?), recall the share of reals in the fakes' (is
    everything covered?). In float64. Raises DataError where a set has no more than k pictures.
    """
    _check(real, fake, at_least=k + 1)
    fakes_in_balls, _ = _membership(fake, real, _squared_radii(real, k))
    reals_in_balls, _ = _membership(real, fake, _squared_radii(fake, k))
    return _share(fakes_in_balls), _share(reals_in_balls)


def density_coverage(real: Tensor, fake: Tensor, k: int = 5) -> tuple[float, float]:
    """Density, at least 0 and about 1 for a perfect model, and coverage in 0..1.

    real [N, dim], fake [M, dim]. Naeem et al. 2020, "Reliable Fidelity and Diversity Metrics", section 3.2, with
    balls from each real point to its k-th real neighbour: density is the number of balls a fake is in, over k, on
    average, so that one outlier's large ball does not make fakes realistic; coverage is the share of balls with a
    fake in them. In float64. Raises DataError where a set has no more than k pictures.
    """
    _check(real, fake, at_least=k + 1)
    balls_of_fake, fakes_in_ball = _membership(fake, real, _squared_radii(real, k))
    return float(balls_of_fake.double().mean() / k), _share(fakes_in_ball)


def inception_score(probabilities: Tensor) -> float:
    """Inception Score, 1..classes, of class probabilities [N, classes] whose rows sum to 1.

    Salimans et al. 2016, section 4: exp(mean over pictures of KL(p(y|x) || p(y))): high where each picture is
    clearly of one class and all classes occur. Over all pictures at once: in ten parts, as the paper has it, few
    pictures score lower (Barratt & Sharma 2018). In float64. Raises DataError for no picture.
    """
    if len(probabilities) == 0:
        raise DataError("there are 0 pictures to score; give at least 2")
    p = probabilities.double()
    marginal = p.mean(dim=0)
    # A class that no picture has leaves 0 log 0, which is 0.
    divergence = torch.xlogy(p, p).sum(dim=1) - torch.xlogy(p, marginal).sum(dim=1)
    return float(divergence.mean().exp())


def _squared_radii(x: Tensor, k: int) -> Tensor:
    """Squared distance [N] of each row of x [N, dim] to its k-th nearest other row."""
    # The nearest row of all is the row itself.
    return torch.cat([block.kthvalue(k + 1, dim=1).values for block in squared_distances(x, x)])


def _membership(points: Tensor, centres: Tensor, squared_radii: Tensor) -> tuple[Tensor, Tensor]:
    """In how many balls each point is [P], and how many points are in each ball [C]; a ball holds its edge."""
    per_point = []
    per_ball = torch.zeros(len(centres), dtype=torch.long, device=centres.device)
    for block in squared_distances(points, centres):
        inside = block <= squared_radii
        per_point.append(inside.sum(dim=1))
        per_ball += inside.sum(dim=0)
    return torch.cat(per_point), per_ball


def squared_distances(x: Tensor, y: Tensor) -> Iterator[Tensor]:
    """|x - y|^2 of all rows of x [N, dim] and y [M, dim], in blocks [n, M], float64."""
    y = y.double()
    y_norms = y.square().sum(dim=1)
    for rows in x.split(max(1, BLOCK_ELEMENTS // len(y))):
        rows = rows.double()
        norms = rows.square().sum(dim=1, keepdim=True) + y_norms
        squared = torch.addmm(norms, rows, y.T, alpha=-2)
        # Equal pictures are at distance 0, not at what rounding leaves of it: a ball of duplicates must hold its own
        # points. A millionth of the features' length is below what float32 features resolve.
        yield squared.masked_fill_(squared < 1e-12 * norms, 0)


def _share(counts: Tensor) -> float:
    return float((counts > 0).double().mean())


def _check(a: Tensor, b: Tensor, at_least: int) -> None:
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ValueError(f"features of shapes {tuple(a.shape)} and {tuple(b.shape)} are not [N, dim] and [M, dim]")
    fewest = min(len(a), len(b))
    if fewest < at_least:
        raise DataError(f"{fewest} pictures are too few to measure; give at least {at_least} in either set")
