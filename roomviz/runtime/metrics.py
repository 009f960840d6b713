"""Prometheus metrics shared by the services; base units, labels with few values."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Counter, Gauge, Histogram

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

RPC_SECONDS = Histogram("roomviz_rpc_seconds", "Time to answer a call.", ("method", "code"), buckets=_BUCKETS)
HTTP_SECONDS = Histogram("roomviz_http_seconds", "Time to answer a request.", ("route", "code"), buckets=_BUCKETS)
STAGE_SECONDS = Histogram("roomviz_stage_seconds", "Time of one stage of the work.", ("stage",), buckets=_BUCKETS)
JOBS = Counter("roomviz_jobs_total", "Jobs that a worker ended.", ("verb", "outcome"))
JOB_ATTEMPTS = Counter("roomviz_job_attempts_total", "Attempts at jobs.", ("verb",))
BATCH_ITEMS = Counter("roomviz_batch_items_total", "Items of batches that were worked on.", ("outcome",))
SANDBOX_LOST = Counter(
    "roomviz_sandbox_lost_total", "Child processes that were ended over what they worked on.", ("how",)
)
DESCRIPTIONS = Counter("roomviz_descriptions_total", "Descriptions that were written.", ("provider", "fallback_reason"))
PURGED = Counter("roomviz_purged_total", "Rooms that were purged.", ("cause",))
OUTBOX_PENDING = Gauge("roomviz_outbox_pending", "Messages written but not yet published.")
ADMISSION_WAITING = Gauge("roomviz_admission_waiting", "Calls that wait for their turn.", ("queue",))
SHED = Counter("roomviz_shed_total", "Calls refused because too many wait, or waited too long.", ("queue", "why"))
WEBHOOK_ATTEMPTS = Counter(
    "roomviz_webhook_attempts_total", "Webhooks sent; lost: what came of it could not be kept.", ("outcome",)
)
DEPENDENCY_UP = Gauge("roomviz_dependency_up", "Whether a dependency works.", ("dependency",))


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Time a stage: `with stage("decode"): ...`."""
    began = time.perf_counter()
    try:
        yield
    finally:
        STAGE_SECONDS.labels(name).observe(time.perf_counter() - began)
