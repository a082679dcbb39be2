"""Train the dot model: `python -m ishcount.truth.training --slides 600 --real FOLDER -o dot_model.json`.

Needs scikit-learn (extra `train`). Every number of the model comes from here; nothing is tuned by hand.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from ishcount.truth.training.card import write_card
from ishcount.truth.training.collect import real_negatives, synthetic_slide
from ishcount.truth.training.fit import fit_and_report


def main() -> None:
    """Collect, fit, hold out, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--slides", type=int, default=600, help="imaginary slides drawn; every fifth is held out"
    )
    parser.add_argument("--real", type=Path, help="folder of real images; left out: phantoms alone")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--date", required=True, help="ISO date for the model card")
    parser.add_argument("--card", type=Path, help="where to write the model card (Markdown)")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    with ProcessPoolExecutor(options.workers) as pool:
        slides = list(pool.map(synthetic_slide, range(options.slides), chunksize=4))
    real = list(real_negatives(options.real)) if options.real else []
    card = fit_and_report(slides, real, options.output, date=options.date)
    if options.card:
        write_card(options.card, card)


if __name__ == "__main__":
    main()
