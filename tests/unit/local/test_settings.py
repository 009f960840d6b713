import json
import re
import socket

import pytest

from deploy.local.settings import ROOT, LocalSettings
from deploy.local.stack import Stack


def test_the_example_documents_every_setting_with_its_default():
    told = dict(re.findall(r"^#(ROOMVIZ_\w+)=(.*)$", (ROOT / ".env.example").read_text(), re.M))
    have = {
        f"ROOMVIZ_{n.upper()}": json.dumps(f.default) if isinstance(f.default, tuple) else str(f.default)
        for n, f in LocalSettings.model_fields.items()
    }

    assert told == have


def test_a_taken_port_is_named_with_its_setting_before_anything_starts(tmp_path):
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", 0))
        squatter.listen()
        port = squatter.getsockname()[1]
        stack = Stack(LocalSettings(state=tmp_path, gateway_port=port))

        with pytest.raises(SystemExit, match=rf"port {port} \(ROOMVIZ_GATEWAY_PORT\) is taken"):
            stack.check_ports()


def test_one_port_for_two_programs_is_refused(tmp_path):
    stack = Stack(LocalSettings(state=tmp_path, gateway_port=20_001, catalog_port=20_001))

    with pytest.raises(SystemExit, match="are both 20001"):
        stack.check_ports()
