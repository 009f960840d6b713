"""Where the time of the main job goes: the services' own histograms, before and after a few runs.

    python -m bench.stages [PHOTO ...]      a warm stack must be up; default: the sample photos, 5 runs each

Prints the mean of each stage, and the whole job side by side with its parts: the ratio of what a caller
waits for to the sum of the stages is what gateway, queue and transport cost.
"""

import sys
import time
import urllib.request
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from deploy.local.settings import ROOT, LocalSettings
from roomviz.client import Client

RUNS = 5
ANALYZE, RENDER = ("decode", "segment", "geometry", "masks", "store"), ("read", "plate", "texture", "render", "encode")


def histograms(settings: LocalSettings) -> dict[tuple[str, str], tuple[float, float]]:
    """(service, stage) to (sum of seconds, count)."""
    found: dict[tuple[str, str], list[float]] = {}
    for service in ("gateway", "segmentation", "compositor"):
        port = getattr(settings, f"{service}_metrics_port")
        with urllib.request.urlopen(f"http://{settings.host}:{port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
        for family in text_string_to_metric_families(text):
            if family.name != "roomviz_stage_seconds":
                continue
            for sample in family.samples:
                pair = found.setdefault((service, sample.labels["stage"]), [0.0, 0.0])
                if sample.name.endswith("_sum"):
                    pair[0] = sample.value
                elif sample.name.endswith("_count"):
                    pair[1] = sample.value
    return {k: (v[0], v[1]) for k, v in found.items()}


def main() -> None:
    settings = LocalSettings()
    photos = [Path(p) for p in sys.argv[1:]] or sorted((ROOT / "samples").glob("*.jpg"))
    key = settings.api_key
    waited: dict[str, list[float]] = {"upload": [], "analyze": [], "preview": [], "export": []}

    def timed(name: str, began: float) -> None:
        waited[name].append(time.perf_counter() - began)

    with Client(f"{settings.host}:{settings.gateway_port}", key) as client:
        floor = [client.apply("FLR-HERRINGBONE-OAK", kind="floor")]
        for photo in photos:  # warm up
            client.preview(client.analyze(client.upload(photo.read_bytes()).name).room, floor)
        before = histograms(settings)
        for run in range(RUNS):
            for photo in photos:
                # Other bytes each time after the picture's end: a new upload, the same pixels.
                data = photo.read_bytes() + f"{time.time_ns()}-{run}".encode()
                began = time.perf_counter()
                room = client.upload(data)
                timed("upload", began)
                began = time.perf_counter()
                client.analyze(room.name)
                timed("analyze", began)
                began = time.perf_counter()
                client.preview(room.name, floor)
                timed("preview", began)
                began = time.perf_counter()
                client.export(room.name, floor)
                timed("export", began)
        after = histograms(settings)
    print(f"{len(photos)} photos, {RUNS} runs each, {room.width_px} x {room.height_px} the last\n")
    print(f"{'service':<14}{'stage':<12}{'mean ms':>9}{'runs':>6}")
    mean: dict[tuple[str, str], float] = {}
    for place, (total, count) in sorted(after.items()):
        seconds, runs = total - before.get(place, (0, 0))[0], count - before.get(place, (0, 0))[1]
        if runs:
            mean[place] = seconds / runs
            print(f"{place[0]:<14}{place[1]:<12}{1000 * seconds / runs:>9.1f}{int(runs):>6}")
    print(f"\n{'caller waits':<26}{'mean ms':>9}{'worst':>9}")
    for name, values in waited.items():
        print(f"{name:<26}{1000 * sum(values) / len(values):>9.1f}{1000 * max(values):>9.1f}")
    parts = sum(mean.get(("segmentation", s), 0.0) for s in ANALYZE)
    whole = sum(waited["analyze"]) / len(waited["analyze"])
    print(f"\nanalyze, caller / sum of its stages: {whole / parts:.2f}")
    parts = sum(mean.get(("compositor", s), 0.0) for s in RENDER)
    whole = sum(waited["preview"]) / len(waited["preview"])
    print(f"preview, caller / sum of its stages: {whole / parts:.2f}")


if __name__ == "__main__":
    main()
