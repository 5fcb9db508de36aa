r"""Scaling: the loop that proximal and unbalanced transport share, fast where float32 bears it and safe elsewhere.

Each outer step multiplies the kernel by :math:`G = e^{-C/\beta}` and scales rows and columns to their masses. As
:math:`K = T \circ G^k` this takes two products of a vector and a matrix a step, five times faster than the same step on
logarithms; but :math:`G^k` leaves float32's range after a while. So the scalings are *absorbed* into
:math:`\log T` and the kernel is made anew before they can (Schmitzer 2019); where a single step leaves the range, the
whole loop runs on logarithms. The plans are the same up to rounding.

References
----------
.. [1] Schmitzer. Stabilized Sparse Scaling Algorithms for Entropy Regularized Transport Problems. SIAM Journal on
   Scientific Computing 41(3), 2019.
"""

from __future__ import annotations

import torch
from torch import Tensor

# How far, in nats, entries that matter may sink before they are absorbed; float32 holds e^-87.
_RANGE = 60.0
# Stands for log 0: far below any real entry, and finite, so that no difference of two of them is NaN.
_LOG_ZERO = -1e30


def scaled_plan(
    cost: Tensor,
    source_mass: Tensor,
    target_mass: Tensor,
    *,
    beta: float,
    iterations: int,
    inner: int,
    exponent: float = 1.0,
    weighted: bool = False,
) -> Tensor:
    r"""Scale a batch of kernels to their masses; everything in float32 and without gradient.

    .. math::
        K^{(k)} = T^{(k-1)} \circ e^{-C/\beta}, \quad a = (\mu / K b)^\varphi, \quad b = (\nu / K^\top a)^\varphi, \quad
        T^{(k)} = \mathrm{diag}(a)\, K^{(k)}\, \mathrm{diag}(b)

    Parameters
    ----------
    cost : Tensor, shape (B, m, n)
        :math:`C`, any value in padding.
    source_mass, target_mass : Tensor, shapes (B, m) and (B, n)
        :math:`\mu` and :math:`\nu`, zero in padding.
    beta : float
        In units of cost.
    iterations, inner : int
        Outer steps, and scalings within each.
    exponent : float
        :math:`\varphi`, below one where the masses need not be met.
    weighted : bool
        Whether :math:`T^{(0)}` is :math:`\mu \nu^\top` rather than one everywhere; with exponent one both give the
        same limit.

    Returns
    -------
    Tensor, shape (B, m, n)
        The plan; what stands in padding and in pairs with an empty side has no meaning.
    """
    # A pair with an empty side has no solution: it takes part with uniform masses, so that all numbers stay finite.
    empty = ((source_mass <= 0).all(dim=1) | (target_mass <= 0).all(dim=1))[:, None]
    mu = torch.where(empty, torch.full_like(source_mass, 1.0 / source_mass.shape[1]), source_mass)
    nu = torch.where(empty, torch.full_like(target_mass, 1.0 / target_mass.shape[1]), target_mass)
    real = (mu > 0)[:, :, None] & (nu > 0)[:, None, :]
    step = torch.where(real, cost / beta, cost.new_zeros(()))
    log_plan = torch.zeros_like(step)
    if weighted:
        log_plan = torch.where(real, mu.log()[:, :, None] + nu.log()[:, None, :], log_plan)
    largest = float(step.abs().amax())
    if largest <= _RANGE:
        segment = int(_RANGE / largest) if largest * iterations > _RANGE else iterations
        plan = _on_numbers(step, mu, nu, real, log_plan.clone(), iterations, inner, exponent, segment)
        if plan is not None:
            return plan
    return _on_logarithms(step, mu, nu, real, log_plan, iterations, inner, exponent)


def _on_numbers(
    step: Tensor,
    mu: Tensor,
    nu: Tensor,
    real: Tensor,
    log_plan: Tensor,
    iterations: int,
    inner: int,
    exponent: float,
    segment: int,
) -> Tensor | None:
    """Scale kernels as they are, for at most ``segment`` outer steps at a time; nothing if a number left the range."""
    # A row vector times a contiguous matrix is three times as fast as a matrix times a column: hence both orders.
    mu, nu = mu[:, None, :], nu[:, None, :]
    gibbs = (-step).exp_()
    back_gibbs = gibbs.transpose(1, 2).contiguous()
    kernel, back_kernel = torch.empty_like(gibbs), torch.empty_like(back_gibbs)
    present = (nu > 0).to(nu.dtype)
    absent = 1 - present
    change = present
    left = iterations
    while True:
        torch.exp(log_plan, out=kernel)
        back_kernel.copy_(kernel.transpose(1, 2))
        a, b = mu, present
        steps = min(segment, left)
        for _ in range(steps):
            kernel *= gibbs
            back_kernel *= back_gibbs
            before = b
            # b is the product of all steps' scalings; each step begins with the last one's own.
            b = b * change
            for _ in range(inner):
                a = mu / torch.bmm(b, back_kernel)
                if exponent != 1:
                    a = a**exponent
                b = nu / torch.bmm(a, kernel)
                if exponent != 1:
                    b = b**exponent
            change = b / (before + absent)
        left -= steps
        if not left:
            whole = [((x > 0) == (mass > 0)).all() & torch.isfinite(x).all() for x, mass in ((a, mu), (b, nu))]
            return kernel.mul_(a.transpose(1, 2)).mul_(b) if whole[0] & whole[1] else None
        log_plan.add_(a.log().transpose(1, 2)).add_(b.log()).add_(step, alpha=-steps).masked_fill_(~real, 0.0)


def _on_logarithms(
    step: Tensor, mu: Tensor, nu: Tensor, real: Tensor, log_plan: Tensor, iterations: int, inner: int, exponent: float
) -> Tensor:
    log_mu = torch.where(mu > 0, mu.clamp_min(1e-38).log(), _LOG_ZERO)
    log_nu = torch.where(nu > 0, nu.clamp_min(1e-38).log(), _LOG_ZERO)
    log_plan = torch.where(real, log_plan, _LOG_ZERO)
    target_scale = torch.zeros_like(nu)
    for _ in range(iterations):
        kernel = log_plan - step
        for _ in range(inner):
            source_scale = exponent * (log_mu - torch.logsumexp(kernel + target_scale[:, None, :], dim=2))
            source_scale = source_scale.masked_fill(mu <= 0, 0.0)
            target_scale = exponent * (log_nu - torch.logsumexp(kernel + source_scale[:, :, None], dim=1))
            target_scale = target_scale.masked_fill(nu <= 0, 0.0)
        log_plan = torch.where(real, kernel + source_scale[:, :, None] + target_scale[:, None, :], _LOG_ZERO)
    return log_plan.exp()
