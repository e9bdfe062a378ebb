"""An example of each command, which its help ends with."""

from __future__ import annotations

from typing import Any

import typer

EXAMPLES = {
    "widthwise": "demo",
    "demo": "demo --task regression",
    "search": "search net.toml --train --trials 500 --pick 'best accuracy with model_size <= 2KiB'",
    "train": "train --model mynets:build --dataset data.csv --label price --epochs 50",
    "test": "test --run runs/net --trial 12 --part test",
    "inspect": "inspect --model mynets:build --dataset data.csv",
    "init": "init mynets:build --dataset data.csv --out net.toml",
    "runs": "runs runs/",
    "report": "report runs/net --pick knee",
    "watch": "watch runs/net",
    "export-optuna": "export-optuna runs/net sqlite:///trials.db",
    "dashboard": "dashboard runs/net",
    "trials": "trials runs/net --format csv",
    "rm": "rm runs/net",
    "check": "check runs/net --salvage runs/saved",
    "compare": "compare net.toml --strategies random,tpe,frontier --seeds 10 --budget 100",
    "importance": "importance runs/net",
    "explain": "explain runs/net",
    "finetune": "finetune runs/net --pick knee --steps 2000",
    "export": "export runs/net --pick knee --to qonnx --out deployed",
    "certify": "certify runs/net --trial 12",
    "import-report": "import-report runs/net report.rpt --trial 12",
    "measure": "measure runs/net --trial 12",
    "doctor": "doctor",
    "formats": "formats",
    "plot": "formats plot 'fixed<8,4>' e4m3 --out formats.html",
}


def with_examples(app: typer.Typer) -> None:
    """Lets the help of each command, and of the program, end with its example."""
    if app.registered_callback is not None:
        app.registered_callback.epilog = f"Example: widthwise {EXAMPLES['widthwise']}"
    inside = [group.typer_instance for group in app.registered_groups if group.typer_instance is not None]
    commands: list[Any] = [*app.registered_groups, *app.registered_commands]
    for command in commands + [command for group in inside for command in group.registered_commands]:
        name = str(command.name or getattr(command.callback, "__name__", "")).replace("_", "-")
        if name in EXAMPLES:
            command.epilog = f"Example: widthwise {EXAMPLES[name]}"
