"""The `roomviz-models` command: weights in, served models out. Nothing here runs in production."""

from pathlib import Path
from typing import Annotated

import typer

from models.failure import told

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Bring weights and models, and make the files that are served.",
)

Repository = Annotated[Path, typer.Option(help="The model repository.")]


@app.command("import-fastsam")
def import_fastsam(
    checkpoint: Annotated[Path, typer.Argument(help="FastSAM-s.pt or FastSAM-x.pt, as published.")],
    out: Annotated[Path, typer.Option(help="Where the weights go.")] = Path(".local/weights"),
) -> None:
    """Read a published FastSAM checkpoint, running nothing in it, and write its weights as safetensors."""
    with told():
        from models.fastsam.weights import import_checkpoint

        typer.echo(import_checkpoint(checkpoint, out))


@app.command("export-fastsam")
def export_fastsam(
    weights: Annotated[Path, typer.Option(help="From import-fastsam (.safetensors) or training (.pt).")],
    repository: Repository = Path("model_repository"),
    name: Annotated[str, typer.Option(help="The model's name in the repository.")] = "fastsam",
) -> None:
    """Make a served model of fastsam weights: ONNX, checked against PyTorch, with configuration and card."""
    with told():
        import json

        from models.fastsam.export import export_model

        typer.echo(json.dumps(export_model(weights, repository, name), indent=2))


@app.command("build-plan")
def build_plan(
    model_dir: Annotated[Path, typer.Argument(help="A model and its versions, such as model_repository/roomseg.")],
    repository: Annotated[Path, typer.Option(help="The GPU's model repository.")] = Path(".local/model_repository_gpu"),
    cache: Annotated[Path, typer.Option(help="Where plans are kept between runs.")] = Path(".local/cache/plans"),
) -> None:
    """Build TensorRT plans of a model's versions on this machine's GPU, or take them from the cache, for Triton."""
    with told():
        from models.plan import build_plans

        for plan in build_plans(model_dir, repository, cache):
            typer.echo(plan)


@app.command("check-served")
def check_served(
    model_dir: Annotated[Path, typer.Argument(help="A model and its versions, such as model_repository/roomseg.")],
    triton: Annotated[str, typer.Option(metavar="HOST:PORT", help="gRPC of the Triton that serves it.")],
    cards: Annotated[
        Path | None, typer.Option(help="The model's folder as it is served, whose cards are told; default: the same.")
    ] = None,
    photo: Annotated[Path, typer.Option(help="A picture of a room.")] = Path("samples/living-room.jpg"),
) -> None:
    """Compare what a server answers with ONNX Runtime on the same files, and write what is found into the cards."""
    with told():
        import json

        from models.check import check_served

        for found in check_served(model_dir, triton, cards or model_dir, photo):
            typer.echo(json.dumps(found))


@app.command("wrap-semantic")
def wrap_semantic(
    model: Annotated[Path, typer.Argument(help="An ONNX model: (N, 3, H, W) float to class logits, or to queries.")],
    labels: Annotated[Path, typer.Option("--map", help="Its classes and input, see docs/model-contract.md.")],
    repository: Repository = Path("model_repository"),
    name: Annotated[str, typer.Option(help="The model's name in the repository.")] = "roomseg-semantic",
) -> None:
    """Serve a semantic segmentation model of your own under roomseg's contract."""
    with told():
        import json

        from models.semantic import wrap_model

        typer.echo(json.dumps(wrap_model(model, labels, repository, name), indent=2))


@app.command("wrap-instances")
def wrap_instances(
    model: Annotated[Path, typer.Argument(help="An ONNX model: a Mask R-CNN, or one with class and mask queries.")],
    described: Annotated[Path, typer.Option("--map", help="Its outputs and input, see docs/model-contract.md.")],
    repository: Repository = Path("model_repository"),
    name: Annotated[str, typer.Option(help="The model's name in the repository.")] = "fastsam-instances",
) -> None:
    """Serve an instance segmentation model of your own under fastsam's contract."""
    with told():
        import json

        from models.instances import wrap_model

        typer.echo(json.dumps(wrap_model(model, described, repository, name), indent=2))


@app.command("wrap-sam")
def wrap_sam(
    encoder: Annotated[Path, typer.Option(help="An ONNX model: (1, 3, 1024, 1024) float to an embedding.")],
    decoder: Annotated[Path, typer.Option(help="An ONNX model: embedding and points to masks.")],
    described: Annotated[Path, typer.Option("--map", help="Names of their tensors, see docs/model-contract.md.")],
    repository: Repository = Path("model_repository"),
    name: Annotated[str, typer.Option(help="The models' name in the repository, before -encoder, -decoder.")] = "sam",
) -> None:
    """Serve a prompted model of your own: SAM, MobileSAM, EfficientSAM, SAM 2."""
    with told():
        import json

        from models.sam import wrap_models

        typer.echo(json.dumps(wrap_models(encoder, decoder, described, repository, name), indent=2))


def main() -> None:
    app()
