# Names of files, spelled out once.


wildcard_constraints:
    shard=r"\d{3}",
    network="[A-Za-z0-9._-]+",
    classifier="[A-Za-z0-9._-]+",


def memory(stage):
    """Memory of a job in megabytes; more at every attempt."""
    return lambda wildcards, attempt: attempt * plan.memory(
        stage, wildcards.get("network")
    )


def runtime(stage):
    """Longest time of a job in minutes; more at every attempt."""
    return lambda wildcards, attempt: attempt * plan.runtime(
        stage, wildcards.get("network")
    )
