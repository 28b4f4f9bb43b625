"""What a caller sees of a job, and which way it may go."""

from __future__ import annotations

import pytest

from app.canonical.media import File, ImageJob, VideoJob
from app.canonical.task import LIVE, OVER, STATES, IllegalMove, check_move, outcome
from app.media.job import Folders, read_image_job, read_video_job, written
from app.media.task import error, progress, status
from app.storage.tasks import Task

LEGAL = """
queued -> submitting failed cancelled
submitting -> queued running storing failed lost cancelled
running -> storing failed cancelled
storing -> completed failed cancelled
"""


def task(**changes):
    return Task(
        id="video_1",
        kind="video",
        platform="here",
        engine="here",
        owner="ann",
        model="film-1",
        created_at=0.0,
        deadline=9.0,
        **changes,
    )


def test_these_moves_are_legal_and_no_other():
    lines = (line.split(" -> ") for line in LEGAL.strip().splitlines())
    legal = {(before, to) for before, after in lines for to in after.split()}
    legal |= {(state, state) for state in LIVE}
    found = set()
    for before in STATES:
        for after in STATES:
            try:
                check_move(before, after)
            except IllegalMove:
                continue
            found.add((before, after))

    assert found == legal


def test_every_way_ends_and_is_settled_only_there():
    assert {state: outcome(state) for state in STATES} == {
        **dict.fromkeys(LIVE, ""),
        **dict.fromkeys(OVER, "released"),
        "completed": "charged",
    }


@pytest.mark.parametrize(
    "state, seen",
    [
        ("queued", "queued"),
        ("submitting", "in_progress"),
        ("running", "in_progress"),
        ("storing", "in_progress"),
        ("completed", "completed"),
        ("failed", "failed"),
        ("lost", "failed"),
        ("cancelled", "failed"),
    ],
)
def test_a_caller_sees_four_states_and_an_error_only_in_the_last(state, seen):
    """C-190, C-199: trouble on the way is the operator's."""
    one = task(state=state, code="c", message="m")

    assert status(one) == seen
    assert error(one) == ({"code": "c", "message": "m"} if seen == "failed" else None)


def test_a_hundred_percent_are_there_when_it_is_done_and_never_before():
    assert progress(task(state="running", progress=100)) == 99
    assert progress(task(state="completed", progress=40)) == 100
    assert progress(task(state="failed", progress=40)) == 40


def test_a_job_is_read_as_it_was_written_with_its_files_in_the_tasks_folder(tmp_path):
    def file(name):
        (tmp_path / name).write_bytes(name.encode())
        return File(str(tmp_path / name), "image/png", len(name))

    folder = Folders(tmp_path / "spool").make("image_1")
    image = ImageJob(
        model="m",
        prompt="p",
        images=(file("a"), file("bb")),
        mask=file("ccc"),
        sets={"n": 2},
        extras={"seed": [1]},
    )
    film = VideoJob(model="m", prompt="p", shape="remix", references=(file("dddd"),), source="x")

    read = read_image_job(written(image, folder), folder)
    for given in tmp_path.glob("?"):
        given.unlink()  # the request is over
    assert [open(one.path, "rb").read() for one in (*read.images, read.mask)] == [
        b"a",
        b"bb",
        b"ccc",
    ]
    assert (read.sets, read.extras, read.images[1].size) == ({"n": 2}, {"seed": [1]}, 2)
    assert read_image_job(written(ImageJob(model="m", prompt="p"), folder), folder) == ImageJob(
        model="m", prompt="p"
    )
    (tmp_path / "dddd").write_bytes(b"dddd")
    other = Folders(tmp_path / "spool").make("video_1")
    again = read_video_job(written(film, other), other)
    assert (again.shape, again.source, open(again.references[0].path).read()) == (
        "remix",
        "x",
        "dddd",
    )


def test_folders_are_ours_alone_and_the_old_ones_are_told(tmp_path):
    folders = Folders(tmp_path / "spool")
    assert list(folders.older(1e12)) == []
    made = folders.make("video_1")

    assert made.stat().st_mode & 0o077 == 0
    assert list(folders.older(0.0)) == [] and list(folders.older(1e12)) == ["video_1"]
    folders.remove("video_1")
    folders.remove("video_1")
    assert list(folders.older(1e12)) == []
