"""What could not be computed: every failed row of every table, with its reason."""

from pipeline.report.results import Results


def list_failures(results: Results) -> dict:
    """Failed rows grouped by table and reason, the most frequent first within a table."""
    import polars

    groups = []
    for table, frame in results.tables.items():
        failed = frame.filter(polars.col("status") == "failed")
        counted = failed.group_by("reason", maintain_order=True).agg("row_id")
        found = [{"table": table, "reason": row["reason"], "row_ids": row["row_id"]} for row in counted.to_dicts()]
        groups += sorted(found, key=lambda group: -len(group["row_ids"]))
    return {"groups": groups, "rows": sum(len(group["row_ids"]) for group in groups)}
