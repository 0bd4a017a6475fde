"""How much memory and time a job may take, as pure functions of what it handles; clusters ask for both."""

BASE_MB = {
    "train": 4000,
    "sample": 1500,
    "intervene": 1000,
    "predict": 3000,
    "score": 1000,
    "metrics": 1000,
    "report": 1500,
}
BYTES_PER_PIXEL = {"sample": 30, "intervene": 20, "predict": 40}  # of all images of the job, measured and rounded up


def memory_mb(stage: str, images: int, size: int | None) -> int:
    """Memory of a job in megabytes, for that many images of size x size pixels (2048 where sizes differ)."""
    pixels = images * (size or 2048) ** 2
    return BASE_MB.get(stage, 1000) + BYTES_PER_PIXEL.get(stage, 0) * pixels // 2**20


def runtime_minutes(stage: str, images: int, networks: int = 1) -> int:
    """Longest time of a job in minutes: generous, since a job that is cut off has only lost the batch in hand."""
    if stage == "train":
        return 240
    return 15 + images * networks // 1000
