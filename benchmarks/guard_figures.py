"""The figures of a guard over many clients, with intervals, and a table's line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fedp.training.evaluation.intervals import share

_BOOTSTRAPS = 2000


def figures(v: np.ndarray) -> dict[str, Any]:
    """What a line of the table says; intervals are 95 %, of a bootstrap over writers.

    Args:
        v: a row a writer: accuracy deployed, before, and of always-personalize; shares
            hurt and hurt by more than a point; the same of always; reverted; falsely.
    """
    random = np.random.default_rng(0)
    drawn = v[random.integers(0, len(v), (_BOOTSTRAPS, len(v)))].mean(axis=1)
    mean = v.mean(axis=0)

    def interval(of: Callable[[np.ndarray], Any]) -> list[float]:
        ends = np.percentile(of(drawn), [2.5, 97.5])
        return [float(of(mean)), *map(float, ends)]

    def ratio(part: int, whole: int) -> list[float] | None:
        if mean[whole] == 0:
            return None
        some = drawn[drawn[:, whole] > 0]
        ends = np.percentile(some[:, part] / some[:, whole], [2.5, 97.5])
        return [float(mean[part] / mean[whole]), *map(float, ends)]

    hurt = share(int(round(v[:, 3].sum())), len(v))
    return {
        "clients": len(v),
        "deployed": interval(lambda m: m[..., 0]),
        "to_always": interval(lambda m: m[..., 0] - m[..., 2]),
        "gain": float(mean[0] - mean[1]),
        "gain_of_always": float(mean[2] - mean[1]),
        "hurt": [float(mean[3]), hurt.low, hurt.high],
        "hurt_of_always": float(mean[5]),
        "hurt_ratio": ratio(3, 5),
        "hurt_by_a_point_ratio": ratio(4, 6),
        "reverts": float(mean[7]),
        "false_reverts": float(mean[8]),
    }


HEAD = (
    "| guard | deployed accuracy | to always, points | gain kept | hurt | of always | "
    "by > 1 point, of always | reverts | false ones |\n|" + "---|" * 9
)


def line(name: str, f: dict[str, Any]) -> str:
    """One guard in one band, as a row of a Markdown table."""
    value, low, high = f["deployed"]
    diff, least, most = (100 * d for d in f["to_always"])
    hurt, hurt_low, hurt_high = (100 * h for h in f["hurt"])
    gain = f["gain_of_always"]
    kept = f"{100 * f['gain'] / gain:.0f} %" if gain > 1e-9 else "-"

    def told(ratio: list[float] | None) -> str:
        return "{:.2f} ({:.2f} to {:.2f})".format(*ratio) if ratio else "-"

    cells = [
        name,
        f"{value:.4f} ({low:.3f} to {high:.3f})",
        f"{diff:+.2f} ({least:+.2f} to {most:+.2f})",
        kept,
        f"{hurt:.1f} % ({hurt_low:.0f} to {hurt_high:.0f})",
        told(f["hurt_ratio"]),
        told(f["hurt_by_a_point_ratio"]),
        f"{100 * f['reverts']:.0f} %",
        f"{100 * f['false_reverts']:.0f} %",
    ]
    return f"| {' | '.join(cells)} |"


def floor(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    """Clients that would seem hurt though the guard knew each one's true gain.

    True gains are taken as normal over clients; their variance is that of the observed
    ones less what the finite tests explain. Each client's true gain is drawn given its
    observed one, and its test again by the labels that flip. The guard keeps where the
    true gain is above 0.

    Args:
        pairs: a client's hits, 0..1, before and after, each [sets, size].

    Returns:
        Shares of clients that seem hurt, and that are hurt by more than a point: of
        always-personalize and of the guard; the guard's as a share of always's.
    """
    size = np.array([before.shape[1] for before, _ in pairs])
    count = np.array([before.size for before, _ in pairs])
    gain = np.array([(after - before).mean() for before, after in pairs])
    flips = np.array([np.abs(after - before).mean() for before, after in pairs])
    # A client of few images says little of how many labels flip: 20 of the mean one.
    flips = (flips * count + 20 * flips.mean()) / (count + 20)
    noise = np.maximum(flips - gain**2, 0) / count
    spread = max(float(gain.var() - noise.mean()), 1e-6)
    centre = (gain * spread + gain.mean() * noise) / (spread + noise)
    random = np.random.default_rng(0)
    shape = (_BOOTSTRAPS, len(pairs))
    true = random.normal(centre, np.sqrt(spread * noise / (spread + noise)), shape)
    rate = np.clip(np.maximum(flips, np.abs(true)), 1e-9, 1)
    flipped = random.binomial(np.broadcast_to(size, shape), rate)
    won = random.binomial(flipped, np.clip((1 + true / rate) / 2, 0, 1))
    net = (2 * won - flipped) / size
    found: dict[str, float] = {"truly_hurt": float((true < 0).mean())}
    for name, by in (("hurt", 1e-6), ("hurt_by_a_point", 0.01 + 1e-6)):
        seems = net < -by
        usual, kept = float(seems.mean()), float((seems & (true > 0)).mean())
        found |= {name: kept, f"{name}_of_always": usual}
        found[f"{name}_ratio"] = kept / max(usual, 1e-9)
    return found
