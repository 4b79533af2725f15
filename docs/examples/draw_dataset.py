"""Draw the demo's phantom as a dataset of 3-D images with two structures each.

It is laid out as those of the Medical Segmentation Decathlon. From the folder of the clone:
python -m docs.examples.draw_dataset FOLDER
"""

import argparse
import sys
from pathlib import Path

from demo.phantom import draw_dataset


def main() -> None:
    """Draw the cases and say where they lie."""
    parser = argparse.ArgumentParser(description="Draw a dataset of phantoms.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cases", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    told = parser.parse_args()
    draw_dataset(told.folder, num_cases=told.cases, seed=told.seed)
    sys.stdout.write(f"{told.cases} cases in {told.folder}\n")


if __name__ == "__main__":
    main()
