"""The layouts of well-known datasets, as empty files: what is certain is recognised, what is not is refused by name."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from pipeline.errors import DataError
from pipeline.prepare.sources.arrangement import Arrangement, Asked, arranged
from pipeline.prepare.sources.tree import Folder

Found = dict[str, list[str]]


def laid(root: Path, *files: str) -> Path:
    """Empty files; {a,b} stands for several names."""
    for file in files:
        for name in spelled(file):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).touch()
    return root


def spelled(text: str) -> list[str]:
    head, brace, rest = text.partition("{")
    if not brace:
        return [text]
    names, _, tail = rest.partition("}")
    return [head + name + end for name in names.split(",") for end in spelled(tail)]


def arrangement(root: Path, level: int | None = None, key: str = "data.path") -> Arrangement:
    return arranged(Folder(root), Asked(key, level))


def meant(root: Path, level: int | None = None) -> Found:
    """The folders of each class, with their split."""
    found: Found = {}
    for item in arrangement(root, level).classes:
        found.setdefault(item.label, []).append(f"{item.folder.name} {item.split or ''}".strip())
    return found


def said(root: Path, key: str = "data.path") -> str:
    """The refusal, with D for the data's folder."""
    with pytest.raises(DataError) as error:
        arrangement(root, key=key)
    return str(error.value).replace(str(root), "D")


CLASSES = {
    "flower photos": (["LICENSE.txt", "{daisy,tulip}/{1,2}.jpg"], {"daisy": ["daisy"], "tulip": ["tulip"]}),
    "an archive with what macOS adds": (
        ["PetImages/{Cat,Dog}/1.jpg", "PetImages/Cat/Thumbs.db", "__MACOSX/PetImages/._1.jpg", "readme[1].txt"],
        {"Cat": ["PetImages/Cat"], "Dog": ["PetImages/Dog"]},
    ),
    "Food-101": (
        ["food-101/images/{pie,soup}/1.jpg", "food-101/meta/{train,test}.txt", "food-101/README.txt"],
        {"pie": ["food-101/images/pie"], "soup": ["food-101/images/soup"]},
    ),
    "two wrappers": (["rps/rps/{paper,rock}/1.png"], {"paper": ["rps/rps/paper"], "rock": ["rps/rps/rock"]}),
    "real and fake faces": (
        ["training_{fake,real}/1.jpg"],
        {"training_fake": ["training_fake"], "training_real": ["training_real"]},
    ),
    "trains and buses": (["{bus,train}/1.jpg"], {"bus": ["bus"], "train": ["train"]}),
    "kinds of test": (["{flask,test tube}/1.jpg"], {"flask": ["flask"], "test tube": ["test tube"]}),
    "kinds of train": (
        ["{bullet train,steam train}/1.jpg"],
        {"bullet train": ["bullet train"], "steam train": ["steam train"]},
    ),
    "deep classes": (["cats/{persian,siamese}/1.jpg", "dogs/{beagle,poodle}/1.jpg"], {"cats": ["cats"], "dogs": ["dogs"]}),
    "Tiny ImageNet's train": (
        ["{n01,n02}/images/1.JPEG", "n01/n01_boxes.txt"],
        {"n01": ["n01"], "n02": ["n02"]},
    ),
    "train alone": (["data/train/{a,b}/1.png"], {"a": ["data/train/a"], "b": ["data/train/b"]}),
}
SPLITS = {
    "chest X-rays": (
        ["chest_xray/{train,val,test}/{NORMAL,PNEUMONIA}/1.jpeg"],
        {
            "NORMAL": ["chest_xray/train/NORMAL train", "chest_xray/val/NORMAL val", "chest_xray/test/NORMAL test"],
            "PNEUMONIA": ["chest_xray/train/PNEUMONIA train", "chest_xray/val/PNEUMONIA val", "chest_xray/test/PNEUMONIA test"],
        },
    ),
    "cats and dogs": (
        ["{training_set/training_set,test_set/test_set}/{cats,dogs}/1.jpg", "{training_set,test_set}/_DS_Store"],
        {
            "cats": ["training_set/training_set/cats train", "test_set/test_set/cats test"],
            "dogs": ["training_set/training_set/dogs train", "test_set/test_set/dogs test"],
        },
    ),
    "Intel's scenes": (
        ["{seg_train/seg_train,seg_test/seg_test}/{sea,street}/1.jpg", "seg_pred/seg_pred/{1,2}.jpg"],
        {
            "sea": ["seg_train/seg_train/sea train", "seg_test/seg_test/sea test"],
            "street": ["seg_train/seg_train/street train", "seg_test/seg_test/street test"],
        },
    ),
    "brain tumours": (
        ["{Training,Testing,Validation}/{glioma,no}/1.jpg"],
        {
            "glioma": ["Training/glioma train", "Validation/glioma val", "Testing/glioma test"],
            "no": ["Training/no train", "Validation/no val", "Testing/no test"],
        },
    ),
    "fruits": (
        ["fruits/{Training,Test}/{Apple,Pear}/1.jpg", "fruits/test-multiple_sizes/1.jpg", "papers/1.pdf", "LICENSE"],
        {
            "Apple": ["fruits/Training/Apple train", "fruits/Test/Apple test"],
            "Pear": ["fruits/Training/Pear train", "fruits/Test/Pear test"],
        },
    ),
    "written in one word": (
        ["{trainingSet/trainingSet,testSet}/{0,1}/1.jpg"],
        {
            "0": ["trainingSet/trainingSet/0 train", "testSet/0 test"],
            "1": ["trainingSet/trainingSet/1 train", "testSet/1 test"],
        },
    ),
    "names that differ in more": (
        ["{train_images,test}/{a,b}/1.png"],
        {"a": ["train_images/a train", "test/a test"], "b": ["train_images/b train", "test/b test"]},
    ),
    "masks beside": (
        ["{train,test}/{a,b}/1.png", "train_images/1.png"],
        {"a": ["train/a train", "test/a test"], "b": ["train/b train", "test/b test"]},
    ),
    "splits below every class": (
        ["{cats,dogs}/{train,test}/1.png"],
        {"cats": ["cats/test test", "cats/train train"], "dogs": ["dogs/test test", "dogs/train train"]},
    ),
    "a test split of one class": (
        ["train/{a,b}/1.png", "test/a/{x,y}/1.png"],
        {"a": ["train/a train", "test/a test"], "b": ["train/b train"]},
    ),
}


@pytest.mark.parametrize("name", CLASSES | SPLITS)
def test_what_is_certain_is_recognised(tmp_path: Path, name: str) -> None:
    files, right = (CLASSES | SPLITS)[name]
    assert meant(laid(tmp_path, *files)) == right


def test_what_was_recognised_is_said(tmp_path: Path) -> None:
    files, _ = SPLITS["Intel's scenes"]
    assert arrangement(laid(tmp_path / "intel", *files)).notes == [
        "seg_train/seg_train is taken as the train split",
        "seg_test/seg_test is taken as the test split",
        "seg_pred has no class folders, so its 2 files have no labels and were not read",
    ]
    assert arrangement(laid(tmp_path / "x", "chest_xray/{train,test}/{NORMAL,PNEUMONIA}/1.jpeg")).notes == [
        "all samples lie in chest_xray, so classes and splits are the folders in it",
        "chest_xray/train is taken as the train split",
        "chest_xray/test is taken as the test split",
    ]
    assert arrangement(laid(tmp_path / "plain", "{train,valid,test}/{a,b}/1.jpeg")).notes == []
    assert arrangement(laid(tmp_path / "below", "{cats,dogs}/{train,test}/1.png")).notes == [
        "test and train below each class are taken as given splits"
    ]
    files, _ = CLASSES["deep classes"]
    [note] = arrangement(laid(tmp_path / "deep", *files)).notes
    assert note == (
        "folders below the classes name none (4 folders (cats/persian, cats/siamese, dogs/beagle, dogs/poodle)); "
        "data.class_level=2 takes these"
    )
    assert arrangement(laid(tmp_path / "texts", "{a,b}/1.png", "boxes/{1,2}.xml", "c/.DS_Store")).notes == [
        "empty folders, so not a class: 1 folder (c)",
        "only files of other kinds inside, so not a class: 1 folder (boxes)",
    ]
    files, _ = CLASSES["Food-101"]
    assert arrangement(laid(tmp_path / "food", *files)).notes == [
        "all samples lie in food-101/images, so classes and splits are the folders in it",
        "only files of other kinds inside, so not a class: 1 folder (food-101/meta)",
    ]
    laid(tmp_path / "hollow", "train/{a,b}/1.png", "meta/1.txt")
    (tmp_path / "hollow" / "test").mkdir()
    assert arrangement(tmp_path / "hollow").notes == [
        "test is empty, so it is no given split",
        "only files of other kinds inside, so not a class: 1 folder (meta)",
    ]


REFUSED = {
    "folds": (
        ["fold{1,2,3,4,5}/{cats,dogs}/1.png"],
        "D: 5 folders (fold1, fold2, fold3, fold4, fold5) hold the same 2 folders (cats, dogs), so either may be the classes. "
        "Move folders, or say one of:\n"
        "  regatta run data.class_level=2   # takes cats, dogs as classes, whatever folder they are in\n"
        "  regatta run data.class_level=1   # takes fold1, fold2, fold3, fold4, ... as classes\n"
        "  regatta run '~data.path' data.train_path=D/fold1 data.test_path=D/fold5   # takes two of them as given splits",
    ),
    "kinds of pictures below a wrapper": (
        ["PlantVillage/{color,grayscale}/{Apple,Grape}/1.jpg"],
        "D/PlantVillage: 2 folders (color, grayscale) hold the same 2 folders (Apple, Grape), so either may be the classes. "
        "Move folders, or say one of:\n"
        "  regatta run data.class_level=3   # takes Apple, Grape as classes, whatever folder they are in\n"
        "  regatta run data.class_level=2   # takes color, grayscale as classes\n"
        "  regatta run '~data.path' data.train_path=D/PlantVillage/color data.test_path=D/PlantVillage/grayscale"
        "   # takes two of them as given splits",
    ),
    "an unlabelled test split": (
        ["train/{cats,dogs}/1.png", "test/{1,2,3}.png"],
        "D: test has no class folders, so its 3 files have no labels. Move folders, or say this:\n"
        "  regatta run data.path=D/train   # goes on without test",
    ),
    "ImageNet": (
        ["ILSVRC/Data/CLS-LOC/train/{n01,n02}/1.JPEG", "ILSVRC/Data/CLS-LOC/{val,test}/1.JPEG", "ILSVRC/ImageSets/val.txt"],
        "D/ILSVRC/Data/CLS-LOC: val has no class folders, so its 1 file has no labels; "
        "test has no class folders, so its 1 file has no labels. Move folders, or say this:\n"
        "  regatta run data.path=D/ILSVRC/Data/CLS-LOC/train   # goes on without val, test",
    ),
    "an unlabelled validation split": (
        ["{train,test}/{cats,dogs}/1.png", "val/1.png"],
        "D: val has no class folders, so its 1 file has no labels. Move folders, or say this:\n"
        "  regatta run '~data.path' data.train_path=D/train data.test_path=D/test   # goes on without val",
    ),
    "the sign alphabet": (
        ["asl_alphabet_train/asl_alphabet_train/{A,B}/1.jpg", "asl_alphabet_test/asl_alphabet_test/{A,B}_test.jpg"],
        "D: asl_alphabet_test has no class folders, so its 2 files have no labels. Move folders, or say this:\n"
        "  regatta run data.path=D/asl_alphabet_train   # goes on without asl_alphabet_test",
    ),
    "classes in the files' names": (
        ["train/{cat,dog}.1.jpg", "test1/{1,2}.jpg"],
        "D: train has no class folders, so its 2 files have no labels; test1 has no class folders, so its 2 files have no "
        "labels. Move folders, or say this:\n  regatta run data.class_level=1   # takes the folders as classes",
    ),
    "split and class in one name": (
        ["{train,test}_{cats,dogs}/1.jpg"],
        "D: test_cats, test_dogs, train_cats, train_dogs mean test, train: one split has two folders. Move folders, or say one "
        "of:\n  regatta run '~data.path' data.train_path=D/train_cats data.test_path=D/test_cats   # names a folder for each\n"
        "  regatta run data.class_level=1   # takes them as classes",
    ),
    "places": (
        ["{airport,train station,test bench}/1.jpg"],
        "D: train station has no class folders, so its 1 file has no labels; test bench has no class folders, so its 1 file "
        "has no labels. Move folders, or say this:\n  regatta run data.class_level=1   # takes the folders as classes",
    ),
    "masks beside splits": (
        ["{train,test,train_masks,test_masks}/{a,b}/1.png"],
        "D: test, test_masks, train, train_masks mean test, train: one split has two folders. Move folders, or say one of:\n"
        "  regatta run '~data.path' data.train_path=D/train data.test_path=D/test   # names a folder for each\n"
        "  regatta run data.class_level=1   # takes them as classes",
    ),
    "one more class beside given splits": (
        ["{train,test}/{a,b}/1.png", "extra/a/1.png"],
        "D: train, test look like given splits, with 1 other folder (extra) beside them. Move folders, or say one of:\n"
        "  regatta run '~data.path' data.train_path=D/train data.test_path=D/test   # leaves the others out\n"
        "  regatta run data.class_level=1   # takes all these folders as classes",
    ),
    "more beside given splits": (
        ["{train,test,extra}/{a,b}/1.png"],
        "D: train, test look like given splits, with 1 other folder (extra) beside them. Move folders, or say one of:\n"
        "  regatta run '~data.path' data.train_path=D/train data.test_path=D/test   # leaves the others out\n"
        "  regatta run data.class_level=1   # takes all these folders as classes",
    ),
    "classes in a table": (
        ["{train,test}_images/{1,2}.jpg", "{sample_submission,train}.csv"],
        "D: train_images has no class folders, so its 2 files have no labels; test_images has no class folders, so its 2 files "
        "have no labels. Move folders, or say one of:\n"
        "  regatta run data=csv data.path=D/train.csv   # reads the labels from the table\n"
        "  regatta run data.class_level=1   # takes the folders as classes",
    ),
    "a test folder beside the classes": (
        ["{cats,dogs,test_images}/{1,2}.jpg"],
        "D: test_images beside 2 folders (cats, dogs) may be a split or a class. Move folders, or say this:\n"
        "  regatta run data.class_level=1   # takes cats, dogs, test_images as classes",
    ),
    "a test folder in a given split": (
        ["{train,val}/{cats,dogs}/1.jpg", "train/test/1.jpg"],
        "D/train: test beside 2 folders (cats, dogs) may be a split or a class. Move folders, or say this:\n"
        "  regatta run data.class_level=2   # takes cats, dogs, test as classes",
    ),
    "test alone": (
        ["test/{a,b}/1.png"],
        "D: only test and no train. Move folders, or say this:\n  regatta run data.path=D/test   # cuts all splits from it",
    ),
    "train beside pictures": (
        ["train/{a,b}/1.png", "samples/1.png"],
        "D: train has 2 folders (a, b) in it, but beside it are 1 folder (samples) without any. Move folders, or say one of:\n"
        "  regatta run data.path=D/train   # takes the folders in train as classes\n"
        "  regatta run data.class_level=1   # takes train and the others as classes",
    ),
    "pictures and annotations": (
        ["images/{a,b}.jpg", "annotations/trimaps/{a,b}.png"],
        "D: annotations, images: named like a part of a dataset, not like a class. Move folders, or say this:\n"
        "  regatta run data.class_level=1   # takes annotations, images as classes",
    ),
    "splits below one class": (
        ["cats/{train,test}/1.png", "dogs/1.png"],
        "D: cats/test and cats/train look like given splits below the class, but not so in 1 class (dogs). Move folders, or "
        "say this:\n  regatta run data.class_level=1   # takes no given splits, but all files of each class",
    ),
    "splits and more below the classes": (
        ["{bottle,cable}/{train,test,ground_truth}/1.png"],
        "D: bottle/ground_truth and bottle/test and bottle/train look like given splits below the class, but not so in "
        "2 classes (bottle, cable). Move folders, or say this:\n"
        "  regatta run data.class_level=1   # takes no given splits, but all files of each class",
    ),
    "a file without a folder": (
        ["1.png", "train/1.png"],
        "D: no class folders with files in them; put the files of each class into a folder of its name",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_certain_is_refused_with_a_command_for_each_meaning(tmp_path: Path, name: str) -> None:
    files, message = REFUSED[name]
    assert said(laid(tmp_path, *files)) == message


def test_an_empty_folder_beside_the_only_one(tmp_path: Path) -> None:
    laid(tmp_path, "photos/{a,b}/1.png")
    (tmp_path / "more").mkdir()
    assert said(tmp_path) == (
        "D: all samples lie in photos, beside 1 empty folder (more); two classes are needed. Move folders, or say this:\n"
        "  regatta run data.path=D/photos   # takes the folders in photos as classes"
    )


def test_a_path_of_one_split_that_holds_several(tmp_path: Path) -> None:
    """They would all become training samples, those for testing too."""
    laid(tmp_path, "{train,test}/{a,b}/1.png")
    assert said(tmp_path, "data.train_path") == (
        "D: data.train_path is one split, but train, test look like several. Move folders, or say this:\n"
        "  regatta run data.path=D '~data.train_path'   # takes them as the given splits"
    )


def test_a_level_says_which_folders_are_classes(tmp_path: Path) -> None:
    folds = laid(tmp_path / "folds", "fold{1,2}/{cats,dogs}/1.png")
    assert meant(folds, 1) == {"fold1": ["fold1"], "fold2": ["fold2"]}
    assert meant(folds, 2) == {"cats": ["fold1/cats", "fold2/cats"], "dogs": ["fold1/dogs", "fold2/dogs"]}
    splits = laid(tmp_path / "splits", "{train,test}/site{1,2}/{a,b}/1.png")
    assert meant(splits, 3)["a"] == ["train/site1/a train", "train/site2/a train", "test/site1/a test", "test/site2/a test"]
    assert meant(splits, 1) == {"test": ["test"], "train": ["train"]}
    with pytest.raises(DataError, match=r"data.class_level = 3: .* has no folders with files so deep"):
        meant(folds, 3)


@pytest.mark.parametrize("seed", range(8))
def test_no_file_is_left_out_silently(tmp_path: Path, seed: int) -> None:
    """Any tree is refused, or each of its files is in a class, on the way to one, or in a folder that a note names."""
    draw = random.Random(seed)
    refused = 0
    for i in range(30):
        root = tmp_path / str(i)
        grow(root, draw, 3)
        try:
            found = arrangement(root)
        except DataError:
            refused += 1
            continue
        read = {folder.path / name for item in found.classes for folder in item.folder.walk() for name in every(folder)}
        read |= {folder.path / name for folder in found.above for name in every(folder)}
        left = {path.relative_to(root) for path in root.rglob("*") if path.is_file()} - {
            path.relative_to(root) for path in read
        }
        notes = "; ".join(found.notes)
        assert [path for path in left if not any(f"{place}" in notes for place in path.parents[:-1])] == []
        assert not {item.label for item in found.classes} & {"val", "Testing", "test_set"}
    assert 0 < refused < 30


def grow(place: Path, draw: random.Random, depth: int) -> None:
    """A random tree of names that datasets have."""
    place.mkdir()
    names = draw.sample(["cats", "dogs", "train", "val", "Testing", "test_set", "images", "fold1", "fold2"], draw.randint(1, 4))
    for name in names if depth and draw.random() < 0.8 else []:
        grow(place / name, draw, depth - 1)
    for name in ("1.png", "2.txt"):
        if draw.random() < (0.2 if depth == 3 else 0.6):
            (place / name).touch()


def every(folder: Folder) -> list[str]:
    return [*folder.files, *folder.beside]


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    laid(tmp_path, "a/1.png", "b/1.png")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "b" / "self").symlink_to("self")
    folder = Folder(tmp_path)
    assert [inner.name for inner in folder.walk()] == [".", "a", "b"]
    assert (folder.folders[0].loops, folder.folders[1].files) == (["up"], ["1.png", "self"])


def test_what_systems_leave_behind_is_no_folder_of_the_data(tmp_path: Path) -> None:
    litter = ["@eaDir", "$RECYCLE.BIN", "lost+found", "System Volume Information", ".ipynb_checkpoints", "__MACOSX", "#recycle"]
    for name in litter:
        laid(tmp_path, f"{name}/train/1.png")
    laid(tmp_path, "a/{1.png,Thumbs.db,desktop.ini,._1.png}", "b/1.png")
    folder = Folder(tmp_path)
    assert [inner.name for inner in folder.folders] == ["a", "b"]
    assert sorted(folder.hidden) == sorted(litter)
    assert folder.folders[0].files == ["1.png"]


def test_names_that_are_not_utf8_are_shown_escaped(tmp_path: Path) -> None:
    for name in (b"K\xe4se", b"Brot"):
        os.mkdir(os.path.join(os.fsencode(tmp_path), name))
        Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), name, b"1.png"))).touch()
    assert [item.label for item in arrangement(tmp_path).classes] == ["Brot", "K\\xe4se"]


def test_the_only_class_of_a_given_test_path_is_no_wrapper(tmp_path: Path) -> None:
    laid(tmp_path, "cats/{persian,siamese}/1.png")
    found = {key: arrangement(tmp_path, key=key).classes for key in ("data.train_path", "data.test_path")}
    assert [[item.label for item in items] for items in found.values()] == [["persian", "siamese"], ["cats"]]
