"""Google's two engines for films behind one: the model's name says which begins a job, and the job's
own name which one began it. So jobs outlive a change of the settings.
"""

from __future__ import annotations

from collections.abc import Callable, Set

from app.canonical.media import Progress, VideoJob
from app.canonical.model import ModelFacts
from app.platforms import google_films
from app.platforms.flow_omni import Omni
from app.platforms.flow_veo import NAME, Veo
from app.platforms.google_images import require_kind
from app.upstream.media import Errand, ReadError
from app.upstream.transport import Answer


class GoogleVideos:
    read_error: ReadError = staticmethod(google_films.read_error)

    def __init__(self, facts: Callable[[str], ModelFacts]) -> None:
        self._facts = facts
        self._omni = Omni(facts)
        self._veo = Veo(facts)

    def fitted(self, job: VideoJob) -> VideoJob:
        require_kind(self._facts(job.model), "video")
        return self._for(job.model).fitted(job)

    def takes(self, job: VideoJob) -> Set[str]:
        return self._for(job.model).takes(job)

    def begin(self, errand: Errand, job: VideoJob) -> str:
        return self._for(job.model).begin(errand, job)

    def look(self, errand: Errand, name: str) -> Progress:
        return self._behind(name).look(errand, name)

    def fetch(self, errand: Errand, result: str) -> Answer:
        return self._behind(google_films.job_of(result)).fetch(errand, result)

    def cancel(self, errand: Errand, name: str) -> None:
        self._behind(name).cancel(errand, name)

    def _for(self, model: str) -> Omni | Veo:
        return self._veo if model.startswith("veo-") else self._omni

    def _behind(self, name: str) -> Omni | Veo:
        return self._veo if NAME.fullmatch(name) else self._omni
