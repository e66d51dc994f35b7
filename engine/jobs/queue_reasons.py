"""Why a job waits in Slurm's queue, in words: Slurm's own are names such as `QOSMaxJobsPerUserLimit`."""

from __future__ import annotations

import re

#: what starts by itself sooner or later
_LATER = {
    "None": "",
    "Priority": "other jobs come first",
    "Resources": "it waits for nodes to become free",
    "BeginTime": "it may not start yet: Slurm waits a while before it starts a job again",
    "Dependency": "it waits for another job",
    "Licenses": "it waits for a licence",
    "Reservation": "it waits for its reservation",
    "Cleaning": "its earlier start is being cleared away",
    "NodeDown": "a node that it needs is down",
    "Prolog": "its node is being prepared",
    "JobArrayTaskLimit": "as many of its array run as may",
}
#: what stays until somebody does something
_NEVER = {
    "JobHeldUser": "held: scontrol release {job} lets it go",
    "JobHeldAdmin": "held by whoever runs the cluster: ask them",
    "JobHoldMaxRequeue": "held, because it was started again too often: scontrol release {job} lets it go",
    "ReqNodeNotAvail": "the nodes that it needs are down, drained or reserved: sinfo -R says why",
    "PartitionDown": "its partition takes no jobs now: sinfo shows which do",
    "PartitionInactive": "its partition starts no jobs now: sinfo shows which do",
    "PartitionNodeLimit": "it asks for more nodes than its partition gives",
    "PartitionTimeLimit": "it asks for more time than its partition gives: ask for less, or for another partition",
    "DependencyNeverSatisfied": "it waits for a job that failed, and would wait for ever: cancel it",
    "BadConstraints": "no node of this cluster is as it asks",
    "InvalidAccount": "its account does not exist: name another",
    "InvalidQOS": "its QOS does not exist: name another",
    "AccountNotAllowed": "its account may not use this partition",
    "QOSNotAllowed": "its QOS may not be used in this partition",
}
_LIMIT = re.compile(r"(QOS|Assoc|Account|MaxJobs|User).*", re.IGNORECASE)
_OF_ONE_JOB = re.compile(r"PerJob|WallDuration|PerNode|MaxNode|MaxCpu|MaxMem", re.IGNORECASE)


def in_words(reason: str, job: str) -> tuple[bool, str]:
    """Whether it will start by itself, and why it has not yet."""
    # some go on with the names of nodes
    name = reason.strip("()").split(",")[0].split(" ")[0]
    if reason.startswith(("Nodes required", "ReqNode")) or "DRAINED" in reason:
        name = "ReqNodeNotAvail"
    if name in _LATER:
        return True, _LATER[name]
    if name in _NEVER:
        return False, _NEVER[name].format(job=job)
    if _LIMIT.fullmatch(name) and _OF_ONE_JOB.search(name):
        return False, f"it asks for more than one job may have ({name}): ask for less"
    if _LIMIT.fullmatch(name):
        return True, f"as much of yours runs as may ({name}): it starts when some of that has ended"
    return True, f"Slurm's reason: {reason}"
