"""What an update changes."""

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from roomviz.errors import Aborted, InvalidArgument
from roomviz.v1 import visualizations_pb2
from services.gateway.usecases.fields import check_etag, updated

KNOWN = ("display_name", "favorite")


def test_a_mask_names_what_changes_and_without_one_it_is_what_is_set():
    given = visualizations_pb2.Visualization(name="visualizations/a", display_name="Oak", room="rooms/b")

    assert updated(FieldMask(), given, KNOWN) == {"display_name"}
    assert updated(FieldMask(paths=["favorite"]), given, KNOWN) == {"favorite"}
    assert updated(FieldMask(paths=["*"]), given, KNOWN) == set(KNOWN)


def test_a_mask_with_what_cannot_change_is_refused_path_by_path():
    with pytest.raises(InvalidArgument) as caught:
        updated(FieldMask(paths=["favorite", "room", "name"]), visualizations_pb2.Visualization(), KNOWN)

    assert caught.value.reason == "UPDATE_MASK_INVALID"
    assert [v.subject for v in caught.value.violations] == ["update_mask.paths: name", "update_mask.paths: room"]


def test_an_etag_of_another_state_is_refused_and_none_is_not_asked():
    check_etag("", "b")
    check_etag("b", "b")
    with pytest.raises(Aborted) as caught:
        check_etag("a", "b")
    assert caught.value.reason == "ETAG_MISMATCH"
