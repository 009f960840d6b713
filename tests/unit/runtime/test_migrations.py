"""What a service takes for its newest schema is what its migrations lead to."""

from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from deploy.local.settings import ROOT
from deploy.permissions import SERVICES
from roomviz.runtime import migrations


@pytest.mark.parametrize("service", SERVICES)
def test_the_last_file_is_the_head(service: str):
    versions = ROOT / "services" / service / "migrations"
    environment = Path(migrations.__file__).with_name("alembic")

    head = ScriptDirectory(str(environment), version_locations=[str(versions)]).get_current_head()

    assert migrations.newest(versions) == head
