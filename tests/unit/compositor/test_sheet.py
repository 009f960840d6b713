import numpy as np
import pytest

from services.compositor.domain.sheet import GREY, Grid, grey_sheet


@pytest.mark.parametrize(
    ("count", "asked", "columns", "rows"),
    [(1, 0, 1, 1), (1, 7, 1, 1), (24, 6, 6, 4), (5, 2, 2, 3), (24, 0, 4, 6), (64, 0, 7, 10), (3, 0, 1, 3)],
)
def test_tiles_stand_in_as_many_columns_as_asked_or_near_to_a_square(count: int, asked: int, columns: int, rows: int):
    grid = Grid(count, asked, 427, 640)

    assert (grid.columns, grid.rows) == (columns, rows)


@pytest.mark.parametrize("shape", [(100, 150), (150, 100), (128, 128)])
def test_a_sheet_of_its_own_choice_is_nearest_to_a_square(shape: tuple[int, int]):
    for count in (2, 6, 12, 24, 50):
        height, width = Grid(count, 0, *shape).size
        assert 0.45 < height / width < 2.2


def test_tiles_do_not_overlap_and_keep_a_white_line():
    grid = Grid(5, 3, 20, 30)
    sheet = grey_sheet(grid)

    painted = np.zeros(sheet.shape[:2], int)
    for index in range(5):
        painted[grid.place(index)] += 1

    assert sheet.shape == (*grid.size, 3) == (42, 94, 3)
    assert painted.max() == 1
    assert ((sheet[..., 0] == GREY) == (painted == 1)).all()
    assert (sheet[painted == 0] == 255).all()
