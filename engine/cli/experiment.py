"""`progtrain experiment`: design, scaffold, run, analyze."""

from __future__ import annotations

import click

from progtrain.engine.cli.groups import Commands

#: name -> what it does, in the order of the help
COMMANDS = {
    "design": "Write the plan of an experiment, or check the one that is there.",
    "propose": "Experiments that would decide something, with their plans.",
    "scaffold": "Write what each run and each evaluation needs.",
    "run": "Train and evaluate until all of it has ended.",
    "analyze": "Compare the runs, and write the report.",
    "adopt": "Make the best candidate of a version the next version.",
    "status": "Where an experiment stands: the state of each run, and why.",
    "resume": "Start again what failed or was cancelled, and nothing else.",
    "cancel": "End the jobs of an experiment, or of one run.",
    "list": "All experiments of the workspace.",
    "search": "Find runs of all experiments, by their values and words.",
    "import": "Write a plan from cruijff_kit's experiment_summary.yaml.",
    "prune": "Remove the checkpoints of runs that lost.",
}
PLACES = {
    "design": "experiment_design",
    "propose": "experiment_propose",
    "scaffold": "experiment_stages:scaffold",
    "run": "experiment_stages:run",
    "analyze": "experiment_analyze",
    "adopt": "experiment_adopt",
    "resume": "experiment_stages:resume",
    "cancel": "experiment_stages:cancel",
    "status": "experiment_status",
    "list": "experiment_status:listed",
    "search": "experiment_index:search",
    "import": "experiment_files:imported",
    "prune": "experiment_files:pruned",
}


@click.group("experiment", cls=Commands, table=COMMANDS, places=PLACES)
def command() -> None:
    """Many runs that answer one question, side by side, here or on a cluster.

    design writes the plan, scaffold what each run needs, run trains and evaluates, analyze compares. Each goes on where
    it stopped, and `progtrain-tui` shows them.
    """
