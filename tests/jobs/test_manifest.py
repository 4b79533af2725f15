"""What a batch is made of, and what is refused before anything begins."""

from pathlib import Path

import pytest

from scnas_deploy.errors import ConfigError
from scnas_deploy.jobs.manifest import read_manifest


@pytest.fixture
def read(tmp_path):
    """Read a manifest of these lines."""

    def reader(*lines, name="archive.csv"):
        (tmp_path / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
        return read_manifest(tmp_path / name, tmp_path / "out")

    return reader


def test_a_table_names_channels_ids_outputs_and_priorities(read, tmp_path):
    first, second = read(
        "id,study,study2,priority,output", "one,a/t1.nii.gz,a/t2.nii.gz,5,", "two,/x/t1.nii,b/t2.nii,,masks/two.nii"
    )
    assert (first.id, first.priority, first.number) == ("one", 5, 2)
    assert first.studies == (tmp_path / "a" / "t1.nii.gz", tmp_path / "a" / "t2.nii.gz")
    assert first.output == tmp_path / "out" / "one_seg.nii.gz"
    assert (str(second.studies[0]), second.priority) == ("/x/t1.nii", 0)
    assert second.output == tmp_path / "masks" / "two.nii"


def test_a_table_of_a_spreadsheet_with_its_mark_and_quotes(tmp_path):
    (tmp_path / "m.csv").write_bytes('\ufeffstudy\r\n"a, b.nii"\r\n'.encode())
    (row,) = read_manifest(tmp_path / "m.csv", tmp_path)
    assert row.studies == (tmp_path / "a, b.nii",)
    assert row.id == "a, b"


def test_a_list_has_one_path_a_line(read, tmp_path):
    rows = read("# of May", "a.nii.gz", "", "  b.NII  ", name="list.txt")
    assert [(row.id, row.number) for row in rows] == [("a", 2), ("b", 4)]
    assert rows[1].studies == (tmp_path / "b.NII",)


def test_a_folder_gives_its_nifti_files(tmp_path):
    folder = tmp_path / "scans"
    (folder / "deeper").mkdir(parents=True)
    for name in ("b.nii.gz", "a.nii", "notes.txt", "deeper/c.nii"):
        (folder / name).touch()
    assert [row.id for row in read_manifest(folder, tmp_path)] == ["a", "b"]


def test_the_rows_are_the_same_from_wherever_the_command_is_called(read, tmp_path, monkeypatch):
    rows = read("study", "a.nii")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert read_manifest(tmp_path / "elsewhere" / ".." / "archive.csv", tmp_path / "elsewhere" / ".." / "out") == rows


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["study,id", "a.nii,x", "b.nii,y", "c.nii,x"], "ids that differ, found one for rows 2 and 4"),
        (["study,output", "a.nii,m.nii", "b.nii,./m.nii"], "outputs that differ, found one for rows 2 and 3"),
        (["study", "a/scan.nii.gz", "b/scan.nii"], "ids that differ, found one for rows 2 and 3"),
        (["study,output", "a.nii,b.nii", "b.nii,c.nii"], "no studies, found a study in rows 2"),
        (["study,output", "a.nii,m.png"], "ending in .nii.gz or .nii"),
        (["study,prioritiy", "a.nii,5"], "found study, prioritiy"),
        (["study,study3", "a.nii,b.nii"], "a header of study, then study2"),
        (["id", "a"], "a header of study"),
        (["study,study", "a.nii,b.nii"], "a header of study"),
        (["study,priority", "a.nii,high"], "whole number as priority, found 'high'"),
        (["study,study2", "a.nii"], "line 2: expected 2 cells"),
        (["study,study2", "a.nii,"], "a path a channel"),
        (["study", "a.nii,b.nii"], "line 2: expected 1 cells"),
        (["study,id", "a.nii,../x"], "an id that can be a file name"),
        (["study,id", "a.nii,.."], "an id that can be a file name"),
        (["study"], "at least one study, found none"),
        ([], "a header of study"),
        (['study\n"a.nii'], "a readable manifest"),
    ],
)
def test_what_is_wrong_is_said_with_its_rows(read, lines, says):
    with pytest.raises(ConfigError) as caught:
        read(*lines)
    assert says in str(caught.value)


def test_masks_among_the_studies_of_a_folder_are_refused(tmp_path, monkeypatch):
    (tmp_path / "a.nii").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="another folder for the masks, found that of the studies"):
        read_manifest(Path(), tmp_path)
    (tmp_path / "list.txt").write_text("a.nii")
    assert read_manifest(tmp_path / "list.txt", tmp_path)


def test_what_is_no_manifest(tmp_path):
    with pytest.raises(ConfigError, match="at least one study"):
        read_manifest(tmp_path, tmp_path / "out")
    with pytest.raises(ConfigError, match="No such file"):
        read_manifest(tmp_path / "none.csv", tmp_path / "out")
    (tmp_path / "scan.nii.gz").write_bytes(b"\x1f\x8b\xff\xfe")
    with pytest.raises(ConfigError, match="a readable manifest"):
        read_manifest(tmp_path / "scan.nii.gz", tmp_path / "out")
