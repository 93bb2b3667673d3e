import pytest

from pipeline.kinds.image.suited import AS_FOLDER, FEW, MANY, Measured, suited_to


@pytest.mark.parametrize(
    ("num", "side", "source", "words"),
    [
        (MANY, 32, "folder", ("preset=images",)),
        (MANY, 40, "parquet", ("preset=images",)),
        (MANY - 1, 32, "parquet", ()),
        (MANY, 41, "folder", ()),
        (FEW, 400, "folder", ()),
        (FEW, 400, "parquet", ("preset=photos", *AS_FOLDER)),
        (FEW - 1, 400, "folder", ("preset=few-photos",)),
        (FEW - 1, 400, "parquet", ("preset=few-photos", *AS_FOLDER)),
        (372, 28, "folder", ()),
    ],
)
def test_what_is_known_to_be_better_is_taken_and_nothing_else(num, side, source, words):
    assert suited_to(num, Measured(side, grey=False), source) == words


def test_small_grey_images_are_not_mirrored():
    assert suited_to(MANY, Measured(28, grey=True), "folder") == ("preset=images", "augment.flip=0")
