# Names of files, spelled out once.
import re


wildcard_constraints:
    shard=r"\d{3}",
    network="[A-Za-z0-9._-]+",
    classifier="[A-Za-z0-9._-]+",


def one_of(names):
    """A pattern that matches these names, and nothing if there are none."""
    return "|".join(map(re.escape, names)) or "(?!)"


def gpu(stage):
    """Whether a job runs networks."""
    return lambda wildcards: int(plan.job(stage, **wildcards).runs_networks)


def memory(stage):
    """Memory of a job in megabytes; more at every attempt."""
    return lambda wildcards, attempt: attempt * plan.job(stage, **wildcards).megabytes


def runtime(stage):
    """Longest time of a job in minutes; more at every attempt."""
    return lambda wildcards, attempt: attempt * plan.job(stage, **wildcards).minutes
