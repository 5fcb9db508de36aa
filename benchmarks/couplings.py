"""Speed of the couplings against other ways to the same plan, side by side in one run.

For example::

    python benchmarks/couplings.py --output couplings.json

Every round times all ways one after the other, so that what else the machine does meets all of them alike; a ratio is
the median over rounds of theirs / ours. Greedy alignment is timed 20 times in a row, as one takes less than a
millisecond. Costs are cosine distances of random unit vectors, masses uniform.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import ot
import torch
from measuring import timed
from numpy.typing import NDArray
from ot.batch import solve_batch
from torch import Tensor
from torch.nn import functional

from pyserini_optical.couplings import IPOT, Exact, Greedy, uniform_mass
from pyserini_optical.couplings.greedy import greedy_partners, partners_in_rounds
from pyserini_optical.data import versions, write_text
from pyserini_optical.errors import OpticalError

# What POT's batched solver may take to come as close to the masses as we do.
_MOST_STEPS = 20_000
# Greedy alignments that are timed together.
_IN_A_ROW = 20


def problems(pairs: int, m: int, n: int, *, seed: int = 0, dimension: int = 64) -> tuple[Tensor, Tensor, Tensor]:
    """Give costs, shape (B, m, n), and uniform masses."""
    generator = torch.Generator().manual_seed(seed)
    source, target = (
        functional.normalize(torch.randn(pairs, size, dimension, generator=generator), dim=-1) for size in (m, n)
    )
    mu, nu = (uniform_mass(torch.ones(pairs, size)) for size in (m, n))
    return 1 - source @ target.transpose(1, 2), mu, nu


def marginal_error(plan: Tensor, mu: Tensor, nu: Tensor) -> float:
    """Give the largest difference between a plan's sums and its masses, in the whole batch."""
    return float(torch.maximum((plan.sum(dim=2) - mu).abs().max(), (plan.sum(dim=1) - nu).abs().max()))


def greedy_loop(costs: NDArray[np.float32]) -> list[list[tuple[int, int]]]:
    """Greedy alignment as DR.DECR's code has it: NumPy, sentence by sentence, match by match."""
    found = []
    for cost in costs:
        left, matches = cost.copy(), []
        for _ in range(min(left.shape)):
            row, column = np.unravel_index(np.argmin(left), left.shape)
            left[row, :] = left[:, column] = np.inf
            matches.append((int(row), int(column)))
        found.append(matches)
    return found


def _repeat(way: Callable[[], object]) -> None:
    for _ in range(_IN_A_ROW):
        way()


def measure(pairs: int, m: int, n: int, steps: int, rounds: int) -> dict[str, Any]:
    """Time everything in turn, ``rounds`` times after one that does not count."""
    cost, mu, nu = problems(pairs, m, n)
    exact = Exact().plan(cost, mu, nu).cost
    costs, a, b = cost.numpy(), np.full(m, 1 / m), np.full(n, 1 / n)

    def ours() -> Tensor:
        return IPOT(iterations=steps).plan(cost, mu, nu).matrix

    def batched(epsilon: float, most: int, method: str = "log_sinkhorn") -> Tensor:
        # No tolerance is ever met: so many steps are made.
        solved = solve_batch(cost, epsilon, mu, nu, max_iter=most, tol=0.0, method=method, grad="detach")
        plan: Tensor = solved.plan
        return plan

    def one_by_one(epsilon: float, most: int) -> Tensor:
        plans = [ot.sinkhorn(a, b, c, epsilon, numItermax=most, stopThr=0.0) for c in costs]
        return torch.from_numpy(np.stack(plans)).float()

    wanted = marginal_error(ours(), mu, nu)

    def same_error(epsilon: float) -> int:
        most = 10
        while most < _MOST_STEPS and not marginal_error(batched(epsilon, most), mu, nu) <= wanted:
            most = most * 5 // 4
        return most

    # What IPOT has come to after its steps is as sharp as entropic transport at beta / steps.
    sharp = IPOT().beta / steps
    plans: dict[str, Callable[[], Tensor]] = {"ours": ours}
    for epsilon in (sharp, 0.05):
        most = same_error(epsilon)
        said = f"ε {epsilon:g}, same marginal error ({most} steps)"
        plans[f"POT solve_batch, {said}"] = partial(batched, epsilon, most)
        plans[f"loop over POT sinkhorn, {said}"] = partial(one_by_one, epsilon, most)
    plans[f"POT solve_batch, ε 0.05, {steps} steps"] = partial(batched, 0.05, steps)
    plans[f"POT solve_batch without logarithms, ε 0.05, {steps} steps"] = partial(batched, 0.05, steps, "sinkhorn")
    plans[f"loop over POT sinkhorn, ε 0.05, {steps} steps"] = partial(one_by_one, 0.05, steps)
    aligned: dict[str, Callable[[], object]] = {
        "ours": lambda: greedy_partners(cost, mu, nu),
        "ours, as a plan with its cost and marginal error": lambda: Greedy().plan(cost, mu, nu),
        "ours, in rounds, as on a GPU": lambda: partners_in_rounds(cost, mu, nu),
        "NumPy loop": lambda: greedy_loop(costs),
    }
    greedy = {name: partial(_repeat, way) for name, way in aligned.items()}
    rows = []
    works: list[tuple[str, Mapping[str, Callable[[], object]], int]] = [
        (f"IPOT, {steps} steps", plans, 1),
        ("greedy", greedy, _IN_A_ROW),
    ]
    for work, ways, often in works:
        seconds = timed(ways, rounds)
        for name, taken in seconds.items():
            row: dict[str, Any] = {
                "work": work,
                "way": name,
                "milliseconds": 1000 * statistics.median(taken) / often,
                "ratio": statistics.median(x / y for x, y in zip(taken, seconds["ours"], strict=True)),
            }
            if ways is plans:
                plan = plans[name]()
                row["marginal_error"] = marginal_error(plan, mu, nu)
                row["cost_above_exact"] = float(((plan * cost).sum(dim=(1, 2)) - exact).mean())
            rows.append(row)
    return {"pairs": pairs, "source": m, "target": n, "steps": steps, "rounds": rounds, "rows": rows}


def to_text(content: dict[str, Any]) -> str:
    """Write the table."""
    lines = [
        f"{content['pairs']} pairs of {content['source']} x {content['target']} tokens, "
        f"{content['threads']} thread(s), median of {content['rounds']} rounds",
        f"{'work':<16}{'way':<62}{'ms':>9}{'ratio':>8}{'marginal error':>16}{'above exact':>13}",
    ]
    for row in content["rows"]:
        error = f"{row['marginal_error']:.1e}" if "marginal_error" in row else "-"
        above = f"{row['cost_above_exact']:.4f}" if "cost_above_exact" in row else "-"
        lines.append(
            f"{row['work']:<16}{row['way']:<62}{row['milliseconds']:>9.2f}{row['ratio']:>8.1f}{error:>16}{above:>13}"
        )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Measure, print the table and write it as JSON if asked for."""
    parser = argparse.ArgumentParser(description="Speed of the couplings against other ways to the same plan.")
    parser.add_argument("--pairs", type=int, default=64, help="sentence pairs in a batch (default: 64)")
    parser.add_argument("--source", type=int, default=32, help="tokens of the one side (default: 32)")
    parser.add_argument("--target", type=int, default=32, help="tokens of the other side (default: 32)")
    parser.add_argument("--steps", type=int, default=50, help="steps of transport (default: 50)")
    parser.add_argument("--rounds", type=int, default=15, help="how often each way is timed (default: 15)")
    parser.add_argument("--threads", type=int, default=1, help="of torch (default: 1)")
    parser.add_argument("--output", metavar="FILE", type=Path, help="write JSON here")
    given = parser.parse_args(arguments)
    for name in ("pairs", "source", "target", "steps", "rounds", "threads"):
        if getattr(given, name) < 1:
            parser.error(f"--{name} must be at least 1")
    torch.set_num_threads(given.threads)
    with warnings.catch_warnings():
        # POT warns that it stops before it has converged, as it shall.
        warnings.simplefilter("ignore")
        content = measure(given.pairs, given.source, given.target, given.steps, given.rounds)
    content |= {"threads": given.threads, "versions": versions()}
    print(to_text(content))
    try:
        if given.output is not None:
            with write_text(given.output) as stream:
                stream.write(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    except OpticalError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
