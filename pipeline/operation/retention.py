"""Which runs, and which of the artifacts that TFX keeps for reuse, are still needed. Pure.

Runs are counted for each name that they release under, artifacts for each TFX pipeline, which is
the same: a preset that runs every night takes nothing from one that runs every month.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Iterable


@dataclasses.dataclass(frozen=True)
class KeptRun:
    """A folder of `runs/`: `judged` where it came to a verdict, `repeated` where that is the one
    of an earlier run, as nothing had changed. `name` is empty where nothing says it."""

    run_id: str
    name: str
    judged: bool
    repeated: bool


def outdated_runs(runs: Iterable[KeptRun], keep: int, needed: set[str]) -> list[str]:
    """The ids of the runs that may go, oldest first.

    Of each name stay the newest `keep`, the newest `keep` that repeated nothing (a month without
    new images must not push out what was measured), and the newest with a verdict, by which the
    next run knows that nothing changed. `needed` are ids that stay whatever their age.
    """
    groups: dict[str, list[KeptRun]] = defaultdict(list)
    for run in sorted(runs, key=lambda run: run.run_id, reverse=True):
        groups[run.name].append(run)
    gone = []
    for group in groups.values():
        own = [run for run in group if run.judged and not run.repeated]
        judged = [run for run in group if run.judged]
        stay = {run.run_id for run in (*group[:keep], *own[:keep], *judged[:1])} | needed
        gone += [run.run_id for run in group if run.run_id not in stay]
    return sorted(gone)


@dataclasses.dataclass(frozen=True)
class Execution:
    """One of ML Metadata: of the node `node` (`PIPELINE.STEP`) in the TFX run `run`.

    `successful` is it also where it took an earlier one's outputs, `made` only where it made them.
    `outputs` are artifact ids; `run_id` is that of ours, where it pushed.
    """

    id: int
    node: str
    run: int
    successful: bool
    made: bool
    outputs: frozenset[int] = frozenset()
    run_id: str = ""

    @property
    def pipeline(self) -> str:
        return self.node.rpartition(".")[0]


def needed_executions(
    executions: Iterable[Execution], keep: int, released: set[str], unfinished: set[str]
) -> tuple[set[int], set[int]]:
    """The ids of the artifacts to keep, and of the executions whose parameters say how they came
    to be.

    Needed are, for each pipeline, all executions of its newest `keep` runs and of those that made
    the releases `released` (our run ids), and each step's newest successful one: what the next run
    can take over. So is the run in which a node of `unfinished` last failed: its checkpoints are of
    no use without the very files that it trained on.
    """
    known = sorted(executions, key=lambda execution: execution.id)
    runs: dict[str, set[int]] = defaultdict(set)
    newest: dict[str, int] = {}
    for execution in known:
        runs[execution.pipeline].add(execution.run)
        if execution.successful:
            newest[execution.node] = execution.id
    recent = {run for own in runs.values() for run in sorted(own)[-keep:]}
    recent |= {execution.run for execution in known if execution.run_id in released}
    failed = {e.node: e.run for e in known if e.node in unfinished and not e.successful}
    recent |= set(failed.values())
    kept = [e for e in known if e.run in recent or e.id == newest.get(e.node)]
    artifacts = {output for execution in kept for output in execution.outputs}
    makers = {e.id for e in known if e.made and e.outputs & artifacts}
    return artifacts, makers | {execution.id for execution in kept}
