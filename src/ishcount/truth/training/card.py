"""The model card of the dot judge, written from what the training measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ishcount.core.files import replacing, write_text
from ishcount.truth.training.fit import N_TREES, ODDS

_HEAD = """# The judge of dots: model card

`src/ishcount/data/dot_model.json` holds boosted trees that give each dot candidate the probability of being
a dot. They judge twice: {trees[alone]} trees see a candidate alone (`ishcount.steps.dots.FEATURE_NAMES`),
then {trees[among]} trees see it again with the first scores of the candidates within 12 um
(`ishcount.core.neighbours`): dots and pigment both keep company. A rule without learning stays as baseline
and fallback (`evidence.judge = "rule"`).

**Trained by** `python -m ishcount.truth.training --slides {n_drawn} --real FOLDER --date {date} -o FILE
--card docs/model_card.md` (seed {seed}; about half an hour on two cores). {n_slides} imaginary slides of
{patches} patches each (two chromogens; 0.22-0.28 and 0.45-0.52 um/px; colours, camera, blur, JPEG quality
and subsampling drawn anew for each) by `truth/training/patches.py`, a generator that shares no code with
the phantoms of `ishcount simulate`; and {n_real} real fields without signal (pen marks, glass, every
second tile of the CC0 nuclei set, an IHC field and a fleck of kidney, both read in the colour they do not
hold). {n_candidates:,} candidates, {n_dots:,} of them dots. Every slide weighs the same, however many
candidates it holds.

**Held out:** every fifth imaginary slide ({n_held_out}).
"""
_LIMITS = """
**Priors.** What is counted with multiplies the odds of candidates by {fine}, at more than 0.35 um/px, where
scores come out low, by {coarse}; chosen on phantoms of `ishcount simulate`. The table and the plot above are
without them.

**Limits.** No real chromogenic RNA ISH slide was available; dots were only ever drawn. DAB and melanin
lie 7 degrees apart, less than slides differ among themselves, and JPEG with halved chroma takes 12 to 20
degrees off the colour of a single dot: in pigmented tissue brown dots are judged by their surroundings,
and single brown dots there are often lost or false. `docs/accuracy.md` has the figures on phantoms that
the model never saw.
"""


def write_card(path: Path, card: dict[str, Any]) -> None:
    """Write the card as Markdown, with a reliability plot `images/dot_reliability.png` beside it."""
    n_drawn, n_real = card["n_slides"] + card["n_held_out"], len(card["real_negative_fields"])
    text = _HEAD.format(n_drawn=n_drawn, n_real=n_real, trees=N_TREES, **card)
    held = [
        f"| {row['cut']} | {row['precision']:.3f} | {row['recall']:.3f} "
        f"| {row['false_per_1000_candidates']:.2f} |"
        for row in card["held_out"]
    ]
    reliable = [
        f"| {row['from']} | {row['n']:,} | {row['score']:.3f} | {row['dots']:.3f} |"
        for row in card["reliability"]
    ]
    named = [f"| {row['reason']} | {row['n']:,} | {row['named']:.2f} |" for row in card["reasons"]]
    lines = [
        "", "| cut | precision | recall of drawn dots | false per 1,000 candidates |", "|---|---|---|---|",
        *held,
        "", "**Reliability** on the same slides (mean score, share of dots; slides weigh the same):",
        "",
        "| scores from | candidates | mean score | dots |", "|---|---|---|---|", *reliable,
        "", "**Reasons** of candidates that are no dots, on held-out slides; trees see each candidate alone:",
        "", "| what it is | candidates | named so |", "|---|---|---|", *named,
        "", "![Share of dots against mean score on held-out slides](images/dot_reliability.png)", "",
    ]  # fmt: skip
    write_text(path, text + "\n".join(lines) + _LIMITS.format(**ODDS))
    _draw(path.parent / "images" / "dot_reliability.png", card["reliability"])


def _draw(path: Path, rows: list[dict[str, float]]) -> None:
    """Share of dots against mean score, on logit axes so that high scores can be told apart."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2, 4.0), layout="constrained")
    axes = figure.add_subplot()
    score, dots, n = (np.array([row[key] for row in rows]) for key in ("score", "dots", "n"))
    error = 1.96 * np.sqrt(np.maximum(dots * (1 - dots), 1e-9) / n)
    axes.plot([0.001, 0.999], [0.001, 0.999], color="0.7", lw=1, zorder=0)
    axes.errorbar(score, dots, yerr=error, fmt="o", ms=4, color="#0072B2", capsize=2)
    ticks = [0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999]
    axes.set_xscale("logit")
    axes.set_yscale("logit")
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set(xlabel="mean score", ylabel="share that are dots", title="Held-out slides, 95 % interval")
    axes.minorticks_off()
    axes.set(xlim=(0.001, 0.9995), ylim=(0.001, 0.9995))
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=120, format="png", metadata={"Software": None})
