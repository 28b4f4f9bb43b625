"""A credential lent to one attempt. Whoever has it says what came of it, and gives it back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from app.credential import Credential
from app.errors import UpstreamError
from app.pool.member import Member
from app.pool.rest import Rest
from app.pool.tally import Taken


class Lender(Protocol):
    """What a lease tells its pool."""

    def accepted(self, lease: Lease) -> None: ...

    def failed(self, lease: Lease, error: UpstreamError) -> None: ...

    def returned(self, lease: Lease, tokens: int, *, at_leisure: bool) -> None: ...


class Lease:
    """`probes` are the rests that this attempt probes, `session` what it should stay together with,
    `taken` what it took of the credential's own limits.
    """

    __slots__ = (
        "credential",
        "platform",
        "member",
        "model",
        "began",
        "probes",
        "session",
        "taken",
        "_pool",
        "_told",
    )

    def __init__(
        self,
        pool: Lender,
        platform: str,
        member: Member,
        model: str,
        began: float,
        probes: Sequence[Rest],
        session: str,
        taken: Taken,
    ) -> None:
        self.credential: Credential = member.credential
        self.platform = platform
        self.member = member
        self.model = model
        self.began = began
        self.probes = probes
        self.session = session
        self.taken = taken
        self._pool: Lender | None = pool
        self._told = False

    def accepted(self) -> None:
        """The platform takes the call, or finds fault with nothing but the call."""
        if not self._told and self._pool is not None:
            self._told = True
            self._pool.accepted(self)

    def failed(self, error: UpstreamError) -> None:
        if error.verdict == "stop":
            self.accepted()
        elif self._pool is not None:
            self._told = True
            self._pool.failed(self, error)

    def give_back(self, tokens: int = 0, *, at_leisure: bool = False) -> None:
        """The attempt is over. Saying so again changes nothing."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.returned(self, tokens, at_leisure=at_leisure)

    def __del__(self) -> None:
        # An answer that nobody began to read is never closed either. No place to wait in.
        self.give_back(at_leisure=True)
