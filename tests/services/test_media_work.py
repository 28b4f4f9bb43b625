"""What one step of a task does: films and pictures from the first question to a result that is kept,
and everything that may come between.
"""

from __future__ import annotations

import logging

import pytest

from app.canonical.media import Progress
from app.errors import (
    BadReply,
    BadRequest,
    BrokenTransfer,
    CallerGone,
    CredentialRefused,
    OutOfFiles,
    RequestRefused,
    StorageTrouble,
    Throttled,
    TimedOut,
    Unreachable,
    UpstreamError,
)
from app.storage.licences import Licences
from tests.media.samples import PNG
from tests.pool.conftest import key
from tests.services.film_maker import DONE, FILM, Film, box

RUNNING = Progress(state="running", percent=10)
GONE = Progress(state="gone")


# ---------------------------------------------------------------- films


def test_a_film_is_begun_looked_after_fetched_and_kept(shop):
    """C-197 to C-200, C-209: all with one credential; its own folder is gone afterwards."""
    shop.maker.says["look"] = [RUNNING, Progress(state="running", percent=60), DONE]
    task = shop.add()

    begun = shop.step(task)
    assert (begun.state, begun.upstream, begun.credential) == ("running", "job-1", "a")
    assert [shop.step(task).progress for _ in range(2)] == [10, 60]
    over = shop.step(task)

    assert (over.state, over.settled, over.progress) == ("completed", "charged", 100)
    (kept,) = over.result["media"]
    assert kept == {"id": shop.kept()[0], "media_type": "video/mp4", "size": len(FILM)}
    assert (over.result["seconds"], "fetch" in over.result) == (8, False)
    assert over.looks == 3
    assert over.expires_at == shop.store.find(kept["id"], "open").expires_at
    assert {one[-1] for one in shop.maker.asked} == {"a"}
    assert not shop.folders.of(task.id).exists()


def test_a_step_that_is_not_due_is_none(shop):
    task = shop.add()
    shop.step(task)

    assert not shop.work.step(task.id)
    assert not shop.work.step("video_unknown")
    assert shop.maker.count("look") == 0


def test_the_platform_is_asked_only_after_that_was_saved_and_its_name_is_saved_at_once(shop):
    """R-081: what stands in the row while the platform is asked, and at the first look."""
    seen = []
    task = shop.add()
    shop.maker.says["begin"] = [lambda: seen.append(shop.row(task))]

    shop.step(task)
    assert (seen[0].state, seen[0].credential, seen[0].upstream) == ("submitting", "a", "")


def test_looks_come_with_growing_gaps_unless_the_platform_names_one(shop):
    """First after 3 s, then 5 s, up to 15 s."""
    after = Progress(state="running", after=42.0)
    shop.maker.says["look"] = [RUNNING] * 8 + [after]
    task, gaps = shop.add(), []
    for _ in range(10):
        now = shop.step(task)
        gaps.append(now.due_at - shop.clock.at)

    assert gaps == [3, 5, 7, 9, 11, 13, 15, 15, 15, 42]


@pytest.mark.parametrize(
    "error",
    [
        Throttled("slow").after(100.0),
        UpstreamError("500"),
        Unreachable("down"),
        TimedOut("late"),
        BadReply("what?"),
        CredentialRefused("no"),
        RequestRefused("bad"),
        OutOfFiles("full"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_no_failure_of_a_look_fails_the_job(shop, error):
    """What went wrong is the operator's to see; once it is well again, nothing is left of it."""
    shop.maker.says["look"] = [error] * 5 + [RUNNING, DONE]
    task = shop.add()
    shop.step(task)

    for _ in range(5):
        now = shop.step(task)
        assert (now.state, now.code) == ("running", error.code)
        assert now.due_at - shop.clock.at >= (error.retry_after or 0)
    assert (shop.step(task).code, shop.through(task).state) == ("", "completed")


def test_a_job_that_is_gone_three_times_in_a_row_has_failed(shop):
    """R-084."""
    shop.maker.says["look"] = [GONE, GONE, RUNNING, GONE, GONE, GONE]

    over = shop.through(shop.add())
    assert (over.state, over.code, over.settled) == ("failed", "video_not_found", "released")
    assert shop.maker.count("look") == 6


def test_a_word_that_nobody_knows_changes_nothing(shop):
    """R-084."""
    shop.maker.says["look"] = [RUNNING, Progress(state="pondering"), DONE]  # type: ignore[arg-type]
    task = shop.add()

    assert [shop.step(task).progress for _ in range(3)][1:] == [10, 10]
    assert shop.step(task).state == "completed"


@pytest.mark.parametrize("stuck", [RUNNING, Unreachable("down"), GONE], ids=str)
def test_a_job_that_does_not_end_is_over_at_its_deadline(shop, stuck):
    """R-084: there and not an interval later; with a last look; and the platform may stop, too."""
    shop.maker.says["look"] = [*[RUNNING] * 3, *[stuck, RUNNING] * 200]
    task = shop.add()

    over = shop.through(task)
    assert (over.state, over.code, over.settled) == ("failed", "timeout", "released")
    assert over.completed_at == task.deadline
    assert shop.maker.asked[-1] == ("cancel", "job-1", "a")
    assert shop.maker.asked[-2][0] == "look"


def test_what_is_done_at_the_last_look_is_a_result(shop):
    shop.maker.says["look"] = [lambda: DONE if shop.clock.at >= task.deadline else RUNNING]
    task = shop.add()

    assert shop.through(task).state == "completed"


def test_what_the_platform_could_not_make_failed_in_its_words(shop):
    """C-190."""
    said = Progress(state="failed", percent=30, code="moderation_blocked", message="no")
    shop.maker.says["look"] = [RUNNING, said]

    over = shop.through(shop.add())
    assert (over.state, over.code, over.message) == ("failed", "moderation_blocked", "no")
    assert (over.progress, over.settled, over.looks) == (10, "released", 2)


def test_a_credential_that_is_not_there_any_more_ends_the_job(shop):
    """C-209: another account's would be told that there is no such job."""
    shop.maker.says["look"] = [RUNNING]
    task = shop.add()
    shop.step(task)
    shop.pool._take_in({"p": [key("b")]})

    over = shop.step(task)
    assert (over.state, over.code, over.settled) == ("failed", "credential_gone", "released")
    assert shop.maker.count("look") == 0


# ---------------------------------------------------------------- asking


def test_a_refusal_is_saved_and_then_the_next_credential_is_tried(shop):
    states = []
    shop.maker.says["begin"] = [CredentialRefused("no"), lambda: states.append(shop.row(task))]
    task = shop.add()

    assert shop.step(task).credential == "b"
    assert [one[1] for one in shop.maker.asked] == ["a", "b"]


@pytest.mark.parametrize(
    "error, code",
    [
        (RequestRefused("bad", code="moderation_blocked"), "moderation_blocked"),
        (BadRequest("seconds should be 4"), "invalid_value"),
    ],
)
def test_a_fault_in_the_job_ends_it(shop, error, code):
    shop.maker.says["begin"] = [error]

    over = shop.step(shop.add())
    assert (over.state, over.code, over.message) == ("failed", code, str(error))
    assert shop.maker.count("begin") == 1


@pytest.mark.parametrize(
    "error", [TimedOut("late"), BrokenTransfer("cut"), BadReply("what?"), CallerGone("stop")]
)
def test_what_may_have_been_taken_is_lost_and_never_asked_for_again(shop, error, caplog):
    """R-081, K-088: whether the platform took it is not known."""
    shop.maker.says["begin"] = [error, None]

    with caplog.at_level(logging.ERROR):
        over = shop.step(shop.add())
    assert (over.state, over.settled) == ("lost", "released")
    assert shop.maker.count("begin") == 1
    assert [one.task for one in caplog.records] == [over.id]


def test_a_job_waits_for_a_platform_that_says_when_it_may_be_asked(shop):
    shop.maker.says["begin"] = [Throttled("slow").after(60.0), Throttled("slow").after(60.0), None]
    task = shop.add()

    waiting = shop.step(task)
    assert (waiting.state, waiting.code) == ("queued", "rate_limit_exceeded")
    assert 59 <= waiting.due_at - shop.clock.at <= 60
    assert shop.through(task).state == "completed"


def test_a_job_waits_for_a_worker_that_can_open_nothing_more(shop):
    """R-145: other keys would need a connection too."""
    shop.maker.says["begin"] = [OutOfFiles("full"), None]
    task = shop.add()

    waiting = shop.step(task)
    assert (waiting.state, waiting.code, waiting.credential) == ("queued", "gateway_overloaded", "")
    assert (waiting.due_at - shop.clock.at, shop.maker.count("begin")) == (2.0, 1)
    assert shop.through(task).state == "completed"


def test_a_job_does_not_wait_beyond_its_deadline(shop):
    shop.maker.says["begin"] = [Throttled("slow").after(3000.0)]

    assert shop.step(shop.add()).code == "rate_limit_exceeded"


def test_a_job_without_any_credential_fails_at_once(shop):
    shop.pool._take_in({"p": []})

    over = shop.step(shop.add())
    assert (over.state, over.code) == ("failed", "no_available_key")


def test_the_licence_says_whose_credentials_serve_and_must_still_be_good(shop):
    licences = Licences(shop.database)
    _, licence = licences.add(shop.clock.now(), groups=("pro",))
    shop.pool._take_in({"p": [key("a"), key("c", groups=("pro",))]})

    assert shop.step(shop.add(owner=licence.name)).credential == "c"
    licences.revoke(licence, shop.clock.now())
    assert shop.step(shop.add(owner=licence.name)).code == "invalid_api_key"
    assert shop.step(shop.add(owner="nobody")).code == "invalid_api_key"


def test_groups_that_were_asked_for_serve(shop):
    shop.pool._take_in({"p": [key("a"), key("c", groups=("pro",))]})

    assert shop.step(shop.add(groups=("pro",))).credential == "c"


def test_a_platform_that_makes_none_any_more_ends_the_job(shop):
    assert shop.step(shop.add(engine="q")).code == "endpoint_not_supported"


# ---------------------------------------------------------------- results


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"<!doctype html><title>expired</title>",
        b'{"error": "expired"}',
        FILM[:-1],
        FILM[:60],
        PNG,
        box(b"ftyp", b"isom\0\0\2\0isommp41") + box(b"mdat", b"m" * 500),
        FILM + b"\0\0",
    ],
    ids=["empty", "html", "json", "cut", "cut short", "a picture", "no index", "too long"],
)
@pytest.mark.parametrize("declared", [True, False])
def test_what_is_not_a_whole_film_never_becomes_a_result(shop, bad, declared):
    """R-086: tried again, and what comes then is kept; if it stays so, the job has failed."""
    headers = None if declared else {}
    shop.maker.says["fetch"] = [lambda: Film(bad, headers), lambda: Film(FILM, headers)]
    over = shop.through(shop.add())
    assert (over.state, len(shop.kept())) == ("completed", 1)

    shop.maker.says["fetch"] = [lambda: Film(bad, headers)]
    over = shop.through(shop.add())
    assert (over.state, over.settled, len(shop.kept())) == ("failed", "released", 1)
    assert over.code in ("upstream_bad_reply", "upstream_truncated")


def test_a_length_that_was_declared_counts(shop):
    """R-086."""
    shop.maker.says["fetch"] = [lambda: Film(FILM, {"content-length": "9999"})]

    over = shop.through(shop.add())
    assert (over.state, over.code) == ("failed", "upstream_truncated")


@pytest.mark.parametrize(
    "error", [RequestRefused("gone", status=403), UpstreamError("500"), Unreachable("down")]
)
def test_a_result_that_cannot_be_had_is_looked_up_anew(shop, error):
    """R-086: what led to it may have run out."""
    shop.maker.says["look"] = [DONE, Progress(state="done", result="elsewhere")]
    shop.maker.says["fetch"] = [error, lambda: Film(FILM)]

    assert shop.through(shop.add()).state == "completed"
    assert [one[1] for one in shop.maker.asked if one[0] == "fetch"] == ["there", "elsewhere"]


def test_a_film_that_is_too_large_is_not_kept(shop):
    shop.maker.says["fetch"] = [lambda: Film(FILM[:-8] + box(b"free", b"f" * (2 << 20)))]

    over = shop.through(shop.add())
    assert (over.code, over.message) == ("upstream_bad_reply", "the platform's answer is too large")


def test_what_is_made_is_fetched_also_after_the_deadline(shop):
    shop.maker.says["look"] = [lambda: DONE if shop.clock.at >= task.deadline else RUNNING]
    shop.maker.says["fetch"] = [UpstreamError("500"), UpstreamError("500"), lambda: Film(FILM)]
    task = shop.add()

    assert shop.through(task).state == "completed"


def test_a_store_that_fails_is_tried_again(shop):
    class Full:
        times = 0

        def keep(self, *_, **named):
            self.times += 1
            if self.times < 3:
                raise StorageTrouble("files cannot be kept just now")
            return shop.store.keep(*_, **named)

        remove = shop.store.remove

    shop.work = shop.worker(store=Full())

    for kind in ("video", "image"):
        Full.times = 0
        assert shop.through(shop.add(kind)).state == "completed"
    assert shop.maker.count("make") == shop.maker.count("begin") == 1


class Stills:
    """Pictures beside a film, as they are said to be: an answer's body and its type, or an error."""

    variants = ("thumbnail", "spritesheet")

    def __init__(self, *said):
        self.said, self.asked = list(said), []

    def still(self, errand, name, variant):
        self.asked.append((name, variant, errand.credential.id))
        said = self.said[len(self.asked) - 1]
        if isinstance(said, BaseException):
            raise said
        body, kind = said() if callable(said) else said
        return Film(body, {"content-type": kind, "content-length": str(len(body))})


def test_a_film_comes_with_the_pictures_that_its_platform_has(shop):
    """C-209, C-202: with the credential and the name of the job."""
    stills = Stills((PNG, "image/png"), (PNG + b"2", "image/png"))
    shop.work = shop.worker(stills=stills)

    over = shop.through(shop.add())
    assert stills.asked == [("job-1", "thumbnail", "a"), ("job-1", "spritesheet", "a")]
    sizes = {variant: one["size"] for variant, one in over.result["stills"].items()}
    assert sizes == {"thumbnail": len(PNG), "spritesheet": len(PNG) + 1}
    kept = {one["id"] for one in (*over.result["media"], *over.result["stills"].values())}
    assert kept == set(shop.kept()) and len(kept) == 3
    assert over.expires_at <= shop.store.find(over.result["stills"]["thumbnail"]["id"]).expires_at


@pytest.mark.parametrize(
    "bad",
    [
        Unreachable("down"),
        RequestRefused("no", status=404),
        (FILM, "video/mp4"),
        (b"<html>", "text/html"),
        (b"<html>", "image/webp"),
        (b"", "image/webp"),
    ],
)
def test_a_film_does_not_fail_for_the_sake_of_its_pictures(shop, bad):
    """R-086: and what is no picture becomes none."""
    shop.work = shop.worker(stills=Stills(bad, (PNG, "image/png")))

    over = shop.through(shop.add())
    assert (over.state, over.settled) == ("completed", "charged")
    assert list(over.result["stills"]) == ["spritesheet"]
    assert len(shop.kept()) == 2


def test_what_is_cancelled_while_its_pictures_come_is_cancelled(shop):
    """R-085: nothing of it stays."""

    def wish():
        shop.tasks.cancel(task.id, shop.clock.now())
        shop.work.renew()
        raise CallerGone("stop")

    shop.work = shop.worker(stills=Stills((PNG, "image/png"), wish))
    task = shop.add()

    over = shop.through(task)
    assert (over.state, over.settled, shop.kept()) == ("cancelled", "released", [])


# ---------------------------------------------------------------- pictures


def test_pictures_are_made_once_and_kept(shop):
    """C-174 to C-177."""
    shop.maker.says["make"] = [(PNG, PNG + b"2")]
    task = shop.add("image")

    over = shop.step(task)
    assert (over.state, over.settled, over.progress) == ("completed", "charged", 100)
    assert [(one["size"], one["revised_prompt"]) for one in over.result["media"]] == [
        (len(PNG), "nicer"),
        (len(PNG) + 1, "nicer"),
    ]
    assert (over.result["usage"], over.result["size"]) == ({"total_tokens": 7}, "2x3")
    assert over.started_at is not None and over.started_at <= over.completed_at
    assert sorted(one["id"] for one in over.result["media"]) == sorted(shop.kept())
    assert not shop.folders.of(task.id).exists()


@pytest.mark.parametrize(
    "error, code",
    [
        (TimedOut("late"), "upstream_timeout"),
        (BrokenTransfer("cut"), "upstream_truncated"),
        (RequestRefused("no", code="moderation_blocked"), "moderation_blocked"),
    ],
)
def test_pictures_that_may_have_been_paid_for_are_not_made_twice(shop, error, code):
    """K-088."""
    shop.maker.says["make"] = [error]

    over = shop.step(shop.add("image"))
    assert (over.state, over.code, shop.maker.count("make")) == ("failed", code, 1)


@pytest.mark.parametrize("made_", [(), (b"",), (b"<html>",), (PNG, FILM)])
def test_what_is_no_picture_never_becomes_a_result(shop, made_):
    """R-086."""
    shop.maker.says["make"] = [made_]

    over = shop.step(shop.add("image"))
    assert (over.state, over.settled, shop.kept()) == ("failed", "released", [])


def test_pictures_that_wait_too_long_are_not_begun(shop):
    task = shop.add("image")
    shop.clock.at += 1200

    assert shop.step(task).code == "timeout"
    assert shop.maker.asked == []


# ---------------------------------------------------------------- cancelling


def test_what_waits_is_cancelled_without_asking_anybody(shop):
    """R-085."""
    task = shop.add()

    over = shop.tasks.cancel(task.id, shop.clock.now())
    assert (over.state, over.settled, shop.maker.asked) == ("cancelled", "released", [])
    assert not shop.work.step(task.id)


def test_what_runs_is_stopped_at_the_platform_by_its_own_name(shop):
    """R-085: at once, whatever the platform says to that."""
    shop.maker.says["look"] = [RUNNING]
    shop.maker.says["cancel"] = [None, Unreachable("down")]
    for place in (1, 2):
        task = shop.add()
        shop.step(task)
        shop.step(task)
        shop.tasks.cancel(task.id, shop.clock.now())

        assert shop.work.step(task.id)
        over = shop.row(task)
        assert (over.state, over.settled) == ("cancelled", "released")
        assert shop.maker.asked[-1] == ("cancel", f"job-{place}", "ab"[place - 1])


def test_what_is_over_is_not_cancelled_any_more(shop):
    """R-085."""
    over = shop.through(shop.add())

    assert shop.tasks.cancel(over.id, shop.clock.now()) == over
    assert shop.maker.count("cancel") == 0


@pytest.mark.parametrize("kind, asked", [("video", ["begin", "cancel"]), ("image", ["make"])])
def test_what_is_cancelled_while_it_is_begun_is_stopped_afterwards(shop, kind, asked):
    """R-085: the wish comes while the platform is being asked."""

    def wish():
        shop.tasks.cancel(task.id, shop.clock.now())
        shop.work.renew()
        if kind == "image":
            raise CallerGone("stop")  # what a transport does when its leash is pulled

    shop.maker.says[asked[0]] = [wish]
    task = shop.add(kind)

    over = shop.through(task)
    assert (over.state, over.settled) == ("cancelled", "released")
    assert [one[0] for one in shop.maker.asked] == asked


def test_what_is_cancelled_between_lease_and_question_is_not_asked_for(shop):
    """R-085."""

    class Wishing:
        pool = shop.pool

        def for_call(self, *_, **named):
            shop.tasks.cancel(task.id, shop.clock.now())
            return shop.work._bench.sources.for_call(*_, **named)

    task = shop.add()
    shop.worker(sources=Wishing()).step(task.id)
    assert (shop.row(task).state, shop.maker.asked) == ("cancelled", [])
