"""What the real model server answers, against the same files run by ONNX Runtime in this process."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import tritonclient.grpc as triton

from deploy.local.settings import INTERNAL_HOST, ROOT
from tests.conftest import Running

FASTSAM = sorted(p.parent for p in (ROOT / "model_repository").glob("fastsam*/config.pbtxt"))


@pytest.mark.skipif(not FASTSAM, reason="model_repository has no fastsam model")
@pytest.mark.parametrize("folder", FASTSAM, ids=lambda p: p.name)
@pytest.mark.parametrize("shape", [(1, 96, 160, 3), (2, 320, 448, 3)])
def test_triton_answers_as_the_model_does(running: Running, folder: Path, shape: tuple[int, ...]):
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    given = triton.InferInput("image", list(shape), "UINT8")
    given.set_data_from_numpy(image)

    with triton.InferenceServerClient(f"{INTERNAL_HOST}:{running.settings.triton_grpc_port}") as client:
        answer = client.infer(folder.name, [given])

    session = onnxruntime.InferenceSession(str(folder / "1" / "model.onnx"))
    names = ["predictions", "prototypes"]
    for name, expected in zip(names, session.run(names, {"image": image}), strict=True):
        np.testing.assert_allclose(answer.as_numpy(name), expected, atol=1e-3)
