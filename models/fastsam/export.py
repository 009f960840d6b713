"""The served model: ONNX with the wire contract of `network`, its configuration and its card."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch

from models import onnx_file
from models.fastsam.checkpoint import Refused
from models.fastsam.network import INPUT, OUTPUTS, FastSam
from models.fastsam.weights import LICENCE, load
from models.fold import fold
from models.repository import FASTSAM, config

AXES: onnx_file.Axes = {
    INPUT: {0: "batch", 1: "height", 2: "width"},
    OUTPUTS[0]: {0: "batch", 2: "cells"},
    OUTPUTS[1]: {0: "batch", 2: "height4", 3: "width4"},
}


def export(net: FastSam, path: Path) -> FastSam:
    """Write the ONNX file; returns the network as it is in the file (fused, weights rounded)."""
    if net.classes != 1:
        raise Refused(f"the weights know {net.classes} classes; the contract of fastsam has one score")
    net = fold(net.eval())
    onnx_file.round_weights(net)
    onnx_file.write(net, path, [INPUT], OUTPUTS, AXES)
    return net


def export_model(weights: Path, repository: Path, name: str) -> dict[str, Any]:
    """Make `<repository>/<name>`: 1/model.onnx, 1/card.json, config.pbtxt; returns the card.

    The card takes licence and source from the card.json beside the weights, and what training measured from the
    training.json there.
    """
    torch.set_num_threads(min(2, torch.get_num_threads()))
    net = load(weights)
    folder = repository / name
    path = folder / "1" / "model.onnx"
    net = export(net, path)
    differences = onnx_file.parity(net, path, OUTPUTS)
    worst = max(differences.values())
    if worst > onnx_file.PARITY_MAX:
        raise Refused(f"PyTorch and ONNX Runtime differ by {worst:.2e}")
    beside, training = weights.parent / "card.json", weights.parent / "training.json"
    known = json.loads(beside.read_text()) if beside.exists() else {}
    ours = training.exists() and not known
    trained = json.loads(training.read_text()) if ours else None
    card = onnx_file.card(
        path,
        name,
        "Apache-2.0" if ours else known.get("licence", LICENCE),
        "rooms rendered by models/rooms; no photograph was used" if ours else "SA-1B, a part of it, by its publishers",
        worst,
        architecture=f"fastsam-{net.size}",
        accuracy=trained["scores"] if trained else None,
        training=trained,
        source=known.get("source"),
    )
    (path.parent / "card.json").write_text(json.dumps(card, indent=2) + "\n")
    (folder / "config.pbtxt").write_text(config(FASTSAM, name, "cpu"))
    for curve in ("curve.csv", "curve.png"):
        if ours and (weights.parent / curve).exists():
            shutil.copy(weights.parent / curve, path.parent / curve)
    return card
