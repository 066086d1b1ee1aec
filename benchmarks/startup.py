"""How long the commands take to answer `--help`, beside importing torch.

Each is a process of its own, started in turn; what is told is the median.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from measure import alternate, median, median_ratio, seconds_of
from results import Row, parser, publish

HOUSE = Path(__file__).parents[1]
MAX_SECONDS = 0.5
TORCH = 'python -c "import torch"'
COMMANDS: dict[str, Sequence[str]] = {
    # What the entry point `fourier` runs, wherever the environment's bin folder is.
    "fourier --help": (sys.executable, "-m", "fourier", "--help"),
    "sweep_deam.py --help": (sys.executable, str(HOUSE / "experiments/sweep_deam.py"), "--help"),
    "sweep_gtzan.py --help": (sys.executable, str(HOUSE / "experiments/sweep_gtzan.py"), "--help"),
    TORCH: (sys.executable, "-c", "import torch"),
}


def answer(command: Sequence[str]) -> None:
    """Run a command to its end and let nobody see what it says."""
    environment = os.environ | {"COLUMNS": "100"}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)  # noqa: S603


def main() -> None:
    """Measure, print and publish."""
    arguments = parser(__doc__).parse_args()
    ways = {name: seconds_of(lambda c=command: answer(c)) for name, command in COMMANDS.items()}
    whole = not arguments.small
    taken = alternate(ways, 15 if whole else 1, warm_up=whole, prepare=whole)
    rows = [
        Row(
            what=name,
            project=f"{median(seconds):.2f} s",
            peer=f"{TORCH}: {median(taken[TORCH]):.2f} s",
            ratio=f"{median_ratio(taken[TORCH], seconds):.1f}x quicker",
            required=f"< {MAX_SECONDS} s",
            reached=median(seconds) < MAX_SECONDS,
        )
        for name, seconds in taken.items()
        if name != TORCH
    ]
    publish("startup", "How long --help takes", rows, arguments, seconds=taken)


if __name__ == "__main__":
    main()
