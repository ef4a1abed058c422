"""Writes golden.json: losses and gradients computed with mpmath straight from the formulas in print.

Run it with `python tests/losses/make_golden.py`. Nothing of lossbench is imported. Gradients are central differences
with a step of 1e-40, at so many digits that 60 of them are good in every number, however far logits lie apart.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from mpmath import exp, findroot, log, mp, mpf, sqrt

COUNTS = [40, 10, 5, 1, 7]
"""Rows per class of an imagined training set; the first C are taken."""

BLOCKS: dict[str, tuple[list[list[float]], list[int]]] = {
    "ordinary": (
        [
            [0.5, -1.25, 2.0, 0.125, -0.75],
            [3.5, -2.0, 0.25, 1.5, -4.0],
            [-0.5, 0.75, 1.0, -3.25, 0.375],
            [6.0, 1.0, -2.5, 4.75, 2.25],
        ],
        [2, 1, 1, 0],
    ),
    "two classes": ([[0.5, -1.25], [4.0, 9.5], [-30.0, 1.0]], [0, 0, 1]),
    "confident": (
        [[12.0, -1.0, 0.5, 2.0], [30.0, 4.0, 1.0, -2.0], [1.0, 61.0, 0.0, -3.0], [25.0, 1.0, 2.0, 0.0]],
        [0, 0, 1, 2],
    ),
    "extreme": (
        [
            [1000.0, -1000.0, 0.0, 500.0],
            [1000.0, -1000.0, 0.0, 500.0],
            [-1000.0, 1000.0, 998.5, 1000.0],
            [1000.0, 1000.0, -1000.0, 3.0],
            [0.0, 0.0, 0.0, 0.0],
            [1000.0, 1000.0, 1000.0, 1000.0],
        ],
        [0, 1, 2, 2, 1, 3],
    ),
    "ties": ([[2.0, 2.0, -1.0, 0.5], [7.0, 7.0, 7.0, 3.0]], [0, 3]),
}

Row = Sequence[mpf]
Formula = Callable[[Row, int], mpf]


def softmax(q: Row) -> list[mpf]:
    top = max(q)
    odds = [exp(each - top) for each in q]
    return [each / sum(odds) for each in odds]


def of_p(f: Callable[[mpf], mpf]) -> Formula:
    return lambda q, y: f(softmax(q)[y])


def of_all(f: Callable[[list[mpf], int], mpf]) -> Formula:
    return lambda q, y: f(softmax(q), y)


def entropy(p: Sequence[mpf]) -> mpf:
    return -sum(each * log(each) for each in p)


def smoothed(p: Sequence[mpf], y: int, share: mpf) -> list[mpf]:
    return [(1 - share) * (j == y) + share / len(p) for j in range(len(p))]


def others(p: Sequence[mpf], y: int) -> list[mpf]:
    return [each for j, each in enumerate(p) if j != y]


def complement_entropy(p: list[mpf], y: int) -> mpf:
    rest = others(p, y)
    return entropy([each / sum(rest) for each in rest])


def mixture(focus: str) -> tuple[mpf, mpf]:
    return (mpf(0), mpf(1)) if focus == "0.5" else (mpf(1), 1 / (1 - 2 * mpf(focus)))


def ce_el(focus: str, area: bool = False) -> Formula:
    def f(p: mpf) -> mpf:
        a, b = mixture(focus)
        return (-a * log(p) + b * (1 - p)) / ((a + b / 3) if area else 1)

    return of_p(f)


def matched(focus: str, part: int) -> Formula:
    def f(p: mpf) -> mpf:
        a, b = mixture(focus)
        return -(a + b / part) * log(p)

    return of_p(f)


def focal(g: str) -> Formula:
    return of_p(lambda p: -((1 - p) ** mpf(g)) * log(p))


def ln_1e_4() -> mpf:
    return log(mpf("1e-4"))


def js(pi: str, scaled: bool) -> Formula:
    def f(p: list[mpf], y: int) -> mpf:
        w = mpf(pi)
        mixed = [w * (j == y) + (1 - w) * each for j, each in enumerate(p)]
        return (entropy(mixed) - (1 - w) * entropy(p)) / (-(1 - w) * log(1 - w) if scaled else 1)

    return of_all(f)


def encouraging(end: str) -> Formula:
    def f(p: mpf) -> mpf:
        e = mpf(end)
        bonus = log(1 - p) if p <= e else log(1 - e) - (p - e) / (1 - e)
        return -log(p) + bonus

    return of_p(f)


def nce(p: list[mpf], y: int) -> mpf:
    return log(p[y]) / sum(log(each) for each in p)


def dual_focal(g: str) -> Formula:
    def f(p: list[mpf], y: int) -> mpf:
        below = max((each for each in p if each < p[y]), default=mpf(0))
        return -((1 - p[y] + below) ** mpf(g)) * log(p[y])

    return of_all(f)


def asl(gp: str, gn: str, e: str) -> Formula:
    def f(p: list[mpf], y: int) -> mpf:
        t = smoothed(p, y, mpf(e))
        return -sum(t[j] * ((1 - p[y]) ** mpf(gp) if j == y else p[j] ** mpf(gn)) * log(p[j]) for j in range(len(p)))

    return of_all(f)


def jeffreys(e: str) -> Formula:
    def f(p: list[mpf], y: int) -> mpf:
        return sum((t - each) * (log(t) - log(each)) for t, each in zip(smoothed(p, y, mpf(e)), p, strict=True))

    return of_all(f)


def label_smoothing(e: str, over_others: bool) -> Formula:
    def f(p: list[mpf], y: int) -> mpf:
        t = smoothed(p, y, mpf(e))
        if over_others:
            t = [1 - mpf(e) if j == y else mpf(e) / (len(p) - 1) for j in range(len(p))]
        return -sum(share * log(each) for share, each in zip(t, p, strict=True))

    return of_all(f)


def shifted(tau: str, loss: Callable[[list[mpf], int], mpf]) -> Formula:
    def f(q: Row, y: int) -> mpf:
        counts = COUNTS[: len(q)]
        return loss(
            softmax([each + mpf(tau) * log(mpf(n) / sum(counts)) for each, n in zip(q, counts, strict=True)]), y
        )

    return f


def balanced(beta: str, loss: Formula) -> Formula:
    def f(q: Row, y: int) -> mpf:
        weights = [(1 - mpf(beta)) / (1 - mpf(beta) ** n) for n in COUNTS[: len(q)]]
        return weights[y] * len(q) / sum(weights) * loss(q, y)

    return f


def bce(smoothing: str) -> Formula:
    def f(q: Row, y: int) -> mpf:
        return sum(
            t * log(1 + exp(-each)) + (1 - t) * log(1 + exp(each))
            for t, each in zip(smoothed(q, y, mpf(smoothing)), q, strict=True)
        )

    return f


def per_label(yes: Callable[[mpf], mpf], no: Callable[[mpf], mpf] | None = None) -> Formula:
    """Sum over labels of yes(s) where the label applies and of no(s), by default yes(1 - s), where it does not."""

    def f(q: Row, y: int) -> mpf:
        s = [1 / (1 + exp(-each)) for each in q]
        absent = no or (lambda each: yes(1 - each))
        return sum(yes(each) if j == y else absent(each) for j, each in enumerate(s))

    return f


def square(k: str, m: str) -> Formula:
    return lambda q, y: (mpf(k) * (q[y] - mpf(m)) ** 2 + sum(each**2 for each in others(q, y))) / len(q)


def logitnorm(tau: str) -> Formula:
    def f(q: Row, y: int) -> mpf:
        length = (sqrt(sum(each**2 for each in q)) + mpf("1e-7")) * mpf(tau)
        return -log(softmax([each / length for each in q])[y])

    return f


def mmc(c: str) -> Formula:
    def f(q: Row, y: int) -> mpf:
        k = mpf(len(q))
        centre = [mpf(c) * sqrt(k / (k - 1)) * ((j == y) - 1 / k) for j in range(len(q))]
        return sum((each - mu) ** 2 for each, mu in zip(q, centre, strict=True)) / 2

    return f


def bi_tempered(t1: str, t2: str) -> Formula:
    def f(q: Row, y: int) -> mpf:
        a, b = mpf(t1), mpf(t2)

        def probabilities(shift: mpf) -> list[mpf]:
            return [(1 + (b - 1) * (shift - each)) ** (-1 / (b - 1)) for each in q]

        def log_t(x: mpf) -> mpf:
            return (x ** (1 - a) - 1) / (1 - a)

        low = max(q)
        # Bisection brackets the root for sure; the secant method then finds all its digits.
        high = low + 1
        while sum(probabilities(high)) > 1:
            high = low + 2 * (high - low)
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if sum(probabilities(middle)) > 1 else (low, middle)
        p = probabilities(
            findroot(
                lambda shift: sum(probabilities(shift)) - 1, (low, high), tol=mpf(10) ** (20 - 2 * mp.dps), verify=False
            )
        )
        return -log_t(p[y]) - (1 - sum(each ** (2 - a) for each in p)) / (2 - a)

    return f


def held(factor: Callable[[mpf], mpf]) -> Callable[[Row], Formula]:
    """-factor(p_y) log p_y with the factor held at the point where the gradient is taken."""
    return lambda at: lambda q, y: -factor(softmax(at)[y]) * log(softmax(q)[y])


DETACHED: dict[str, Callable[[Row], Formula]] = {
    "adaptive:detach=true": held(lambda p: 1 - p),
    "focal:detach=true": held(lambda p: (1 - p) ** 2),
    "focal:alpha=0.25,detach=true,gamma=0.5": held(lambda p: mpf("0.25") * (1 - p) ** mpf("0.5")),
}

FORMULAS: dict[str, Formula] = {
    "ce": of_p(lambda p: -log(p)),
    "adaptive": focal("1"),
    "expectation": of_p(lambda p: 1 - p),
    "mae": lambda q, y: sum(abs((j == y) - each) for j, each in enumerate(softmax(q))),
    "ce-el": ce_el("0"),
    "ce-el:focus=0.1": ce_el("0.1"),
    "ce-el:focus=0.3": ce_el("0.3"),
    "ce-el:focus=0.5": ce_el("0.5"),
    "ce-el:focus=0.4,normalize=area": ce_el("0.4", area=True),
    "ce-el:alpha=0.5,beta=3": of_p(lambda p: -log(p) / 2 + 3 * (1 - p)),
    "ce-matched": matched("0", 3),
    "ce-matched:focus=0.3,match=square": matched("0.3", 2),
    "ce-matched:focus=0.5,match=triangle": matched("0.5", 4),
    "focal": focal("2"),
    "focal:gamma=0": focal("0"),
    "focal:gamma=0.5": focal("0.5"),
    "focal:gamma=5": focal("5"),
    "focal:alpha=0.25": of_p(lambda p: -((1 - p) ** 2) * log(p) / 4),
    "inverse-focal": of_p(lambda p: -((1 + p) ** 2) * log(p)),
    "inverse-focal:gamma=0.7": of_p(lambda p: -((1 + p) ** mpf("0.7")) * log(p)),
    "dual-focal": dual_focal("0"),
    "dual-focal:gamma=5": dual_focal("5"),
    "asl": asl("0", "4", "0.1"),
    "asl:gamma_neg=2,gamma_pos=1.5": asl("1.5", "2", "0.1"),
    "asl:epsilon=0,gamma_pos=1": asl("1", "4", "0"),
    "gce": of_p(lambda p: (1 - p ** mpf("0.7")) / mpf("0.7")),
    "gce:q=1": of_p(lambda p: 1 - p),
    "gce:q=0.01": of_p(lambda p: (1 - p ** mpf("0.01")) / mpf("0.01")),
    "gce-trunc:k=0.3": of_p(lambda p: (1 - max(p, mpf("0.3")) ** mpf("0.7")) / mpf("0.7")),
    "sce": of_p(lambda p: -log(p) / 10 - ln_1e_4() * (1 - p)),
    "sce:A=-4,alpha=6,beta=0.1": of_p(lambda p: -6 * log(p) + mpf("0.4") * (1 - p)),
    "rce": of_p(lambda p: -ln_1e_4() * (1 - p)),
    "tce": of_p(lambda p: (sqrt(1 - log(p)) - 1) * 2),
    "tce:a=1": of_p(lambda p: log(1 - log(p))),
    "tce:a=2": of_p(lambda p: 1 - 1 / (1 - log(p))),
    "taylor-ce": of_p(lambda p: (1 - p) + (1 - p) ** 2 / 2),
    "taylor-ce:t=6": of_p(lambda p: sum((1 - p) ** i / i for i in range(1, 7))),
    "phuber-ce": of_p(lambda p: -log(p) if p > mpf(1) / 10 else log(mpf(10)) + 1 - 10 * p),
    "phuber-ce:tau=1": of_p(lambda p: 1 - p),
    "agce": of_p(lambda p: (2**2 - (1 + p) ** 2) / 2),
    "agce:a=0.5,q=0.4": of_p(lambda p: (mpf("1.5") ** mpf("0.4") - (mpf("0.5") + p) ** mpf("0.4")) / mpf("0.4")),
    "js": js("0.5", scaled=True),
    "js:pi1=0.1": js("0.1", scaled=True),
    "js:pi1=0.7,scaled=false": js("0.7", scaled=False),
    "encouraging": encouraging("0.75"),
    "encouraging:log_end=0.5": encouraging("0.5"),
    "poly1": of_p(lambda p: -log(p) + 2 * (1 - p)),
    "poly1:epsilon=-1": of_p(lambda p: -log(p) - (1 - p)),
    "poly1-focal": of_p(lambda p: -((1 - p) ** 2) * log(p) + (1 - p) ** 3),
    "poly1-focal:epsilon=-0.5,gamma=0.5": of_p(lambda p: -((1 - p) ** mpf("0.5")) * log(p) - (1 - p) ** mpf("1.5") / 2),
    "label-smoothing": label_smoothing("0.1", over_others=False),
    "label-smoothing:epsilon=0.3,spread=others": label_smoothing("0.3", over_others=True),
    "min-ent": of_all(lambda p, y: -log(p[y]) + entropy(p) / 10),
    "min-ent:base1=2,base2=10,beta1=0.5,beta2=0.4": of_all(
        lambda p, y: -log(p[y]) / 2 / log(mpf(2)) + entropy(p) * mpf("0.4") / log(mpf(10))
    ),
    "mix-ent": of_p(lambda p: -log(p) - log(mpf("1e-6")) * (1 - p)),
    "mix-ent:base1=3,base2=10,beta1=0.5,beta2=0.4,eps=0.01": of_p(
        lambda p: -log(p) / 2 / log(mpf(3)) - mpf("0.4") * log(mpf("0.01")) * (1 - p) / log(mpf(10))
    ),
    "confidence-penalty": of_all(lambda p, y: -log(p[y]) - entropy(p) / 10),
    "jeffreys": jeffreys("0.1"),
    "jeffreys:epsilon=0.01": jeffreys("0.01"),
    "brier": of_all(lambda p, y: sum((each - (j == y)) ** 2 for j, each in enumerate(p))),
    "mpce": of_all(lambda p, y: -(max(p) - p[y]) * log(p[y])),
    "nce": of_all(nce),
    "ngce": of_all(lambda p, y: (1 - p[y] ** mpf("0.7")) / sum(1 - each ** mpf("0.7") for each in p)),
    "nce+rce": of_all(lambda p, y: nce(p, y) - ln_1e_4() * (1 - p[y])),
    "nce+rce:A=-4,alpha=10,beta=0.1": of_all(lambda p, y: 10 * nce(p, y) + mpf("0.4") * (1 - p[y])),
    "nce+mae": of_all(lambda p, y: nce(p, y) + (1 - p[y])),
    "nce+mae:alpha=10": of_all(lambda p, y: 10 * nce(p, y) + (1 - p[y])),
    "cce": of_all(lambda p, y: -log(p[y]) - complement_entropy(p, y) / (len(p) - 1)),
    "cce:gamma=0.5": of_all(lambda p, y: -log(p[y]) + complement_entropy(p, y) / (len(p) - 1) / 2),
    "logit-adjust": shifted("1", lambda p, y: -log(p[y])),
    "logit-adjust:tau=0.5": shifted("0.5", lambda p, y: -log(p[y])),
    "cb-ce": balanced("0.9999", of_p(lambda p: -log(p))),
    "cb-ce:beta=0.5": balanced("0.5", of_p(lambda p: -log(p))),
    "cb-focal": balanced("0.9999", focal("2")),
    "bce": bce("0"),
    "bce:smoothing=0.1": bce("0.1"),
    "bce:class_reduction=mean": lambda q, y: bce("0")(q, y) / len(q),
    "square": square("1", "1"),
    "square:M=30,k=15": square("15", "30"),
    "squentropy": lambda q, y: -log(softmax(q)[y]) + sum(each**2 for each in others(q, y)) / (len(q) - 1),
    "logitnorm": logitnorm("0.04"),
    "logitnorm:tau=1": logitnorm("1"),
    "mmc": mmc("10"),
    "mmc:C=2.5": mmc("2.5"),
    "bi-tempered": bi_tempered("0.8", "1.2"),
    "bi-tempered:t1=0.3,t2=2": bi_tempered("0.3", "2"),
    "ml-bce": per_label(lambda s: -log(s)),
    "ml-bce:class_reduction=mean": lambda q, y: per_label(lambda s: -log(s))(q, y) / len(q),
    "ml-adaptive": per_label(lambda s: -(1 - s) * log(s)),
    "ml-expectation": per_label(lambda s: 1 - s),
    "ml-poly1": per_label(lambda s: -log(s) + 2 * (1 - s)),
    "ml-focal": per_label(lambda s: -((1 - s) ** 2) * log(s)),
    "ml-focal:alpha=0.25,gamma=0.5": per_label(
        lambda s: -((1 - s) ** mpf("0.5")) * log(s) / 4, lambda s: -(s ** mpf("0.5")) * log(1 - s) * 3 / 4
    ),
    "ml-asl": per_label(
        lambda s: -(1 - s) * log(s),
        lambda s: -(max(s - mpf("0.05"), mpf(0)) ** 4) * log(1 - max(s - mpf("0.05"), mpf(0))),
    ),
    "ml-asl:clip=0,gamma_neg=0.5,gamma_pos=0": per_label(lambda s: -log(s), lambda s: -(s ** mpf("0.5")) * log(1 - s)),
}

SECOND_STEPS: dict[str, Formula] = {
    "cot": of_all(lambda p, y: -complement_entropy(p, y) / (len(p) - 1)),
    "cot:normalize=K": of_all(lambda p, y: -complement_entropy(p, y) / len(p)),
    "cot:normalize=none": of_all(lambda p, y: -complement_entropy(p, y)),
}


def gradient(formula: Formula, q: Row, y: int) -> list[mpf] | None:
    """dL/dq, or None where the two one-sided differences disagree: at a kink or jump."""
    h = mpf("1e-40")
    middle, found = formula(q, y), []
    for j in range(len(q)):
        up, down = (formula([each + sign * h * (i == j) for i, each in enumerate(q)], y) for sign in (1, -1))
        right, left = (up - middle) / h, (middle - down) / h
        if abs(right - left) > mpf("1e-15") * (abs(right) + abs(left)) + mpf("1e-15"):
            return None
        # What symmetry makes 0 comes out as the third derivative times h^2.
        slope = (right + left) / 2
        found.append(mpf(0) if abs(slope) < mpf("1e-30") * abs(right) else slope)
    return found


def text(value: mpf) -> float:
    return float(value)


def digits(name: str, block: str) -> int:
    # At logits of 1000 the smallest gradients are e^-2000 of a sum near 1; bi-tempered tails never get that thin.
    if name.startswith("bi-tempered"):
        return 150
    return 2200 if block == "extreme" else 260


def golden(formulas: dict[str, Formula], classes_at_least: int = 2) -> dict[str, dict[str, list[object]]]:
    made: dict[str, dict[str, list[object]]] = {}
    for name, formula in formulas.items():
        made[name] = {}
        for block, (rows, targets) in BLOCKS.items():
            if len(rows[0]) < classes_at_least:
                continue
            mp.dps = digits(name, block)
            values, gradients = [], []
            for row, target in zip(rows, targets, strict=True):
                q = [mpf(each) for each in row]
                at_point = DETACHED[name](q) if name in DETACHED else formula
                values.append(text(at_point(q, target)))
                slopes = gradient(at_point, q, target)
                gradients.append(None if slopes is None else [text(each) for each in slopes])
            made[name][block] = [values, gradients]
    return made


def main() -> None:
    every = FORMULAS | {name: focal("1") for name in DETACHED}
    made = {
        "counts": COUNTS,
        "blocks": {name: {"logits": rows, "target": targets} for name, (rows, targets) in BLOCKS.items()},
        "losses": golden(every),
        "second_steps": golden(SECOND_STEPS, classes_at_least=3),
    }
    path = Path(__file__).with_name("golden.json")
    path.write_text(json.dumps(made, indent=0).replace("\n", "").replace('},"', '},\n"') + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
