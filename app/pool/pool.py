"""The operator's credentials at work: who serves next, and what became of it.

A worker decides from memory alone. What it learns it tells the others through the boards, and what
they tell it hears twice a second; only the one probe that a rest allows is asked for on the
spot.
"""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain

from app.clock import Clock
from app.credential import GROUPS, Credential
from app.days import Days
from app.errors import GatewayError, UpstreamError
from app.pool.board import MOST_BINDINGS, Board, News
from app.pool.choice import Candidate, Wanted, excess, fits
from app.pool.condition import condition
from app.pool.hindrance import Hindrance
from app.pool.lane import Lane
from app.pool.lease import Lease
from app.pool.member import Member
from app.pool.purse import Purse
from app.pool.rest import Evidence, Rest, Rules, merged, rested
from app.pool.tally import Tally
from app.pool.use import Use
from app.pool.vault import Closed, Vault
from app.storage.bindings import Bound

log = logging.getLogger(__name__)

MOST_LANES = 256
Keys = Mapping[str, Sequence[Credential]]


class Pool:
    """All platforms' credentials; one per worker. `settings` are the keys given there, to which the
    database's are added.
    """

    def __init__(
        self,
        settings: Keys,
        clock: Clock,
        *,
        boards: Sequence[Board] = (),
        vault: Vault | Closed | None = None,
        tally: Tally | None = None,
        rules: Rules = Rules(),
        sticky_seconds: float = 3600.0,
        days: Days = Days(),
    ) -> None:
        self._settings = settings
        self.clock = clock
        self._boards = boards
        self._vault = vault
        self._tally = tally
        self.rules = rules
        self._sticky_seconds = sticky_seconds
        self._days = days
        self._members: dict[str, dict[str, Member]] = {}  # by platform, by id
        self._lanes: dict[tuple[str, str, tuple[str, ...], tuple[str, ...]], Lane] = {}
        self._groups: frozenset[str] = frozenset()
        self._counting: frozenset[str] = frozenset()
        self._measuring: frozenset[str] = frozenset()
        self.purses: dict[str, Purse] = {}  # of the credentials with budgets, by id
        self._bound: OrderedDict[str, Bound] = OrderedDict()
        self._untold: dict[tuple[str, str, str], Rest] = {}
        self._unbound: dict[str, Bound] = {}
        self.on_news: Callable[[], None] = lambda: None  # there is something to tell the others
        self._take_in(self._settings)

    # ------------------------------------------------------------ asking

    def has_any(self, platform: str) -> bool:
        return any(one.credential.enabled for one in self._members.get(platform, {}).values())

    def credential(self, platform: str, name: str) -> Credential | None:
        """The credential of this id, however it stands: what was begun with it needs it again."""
        member = self._members.get(platform, {}).get(name)
        return None if member is None else member.credential

    def counts_tokens(self, platform: str) -> bool:
        """Whether any of the platform's credentials has a limit of tokens."""
        return platform in self._counting

    def measures(self, platform: str) -> bool:
        """Whether any of the platform's credentials has a limit of how long a call is."""
        return platform in self._measuring

    def knows_group(self, group: str) -> bool:
        return group in self._groups

    def pick(self, platform: str, wanted: Wanted, session: str = "") -> Lease | None:
        """A credential for one attempt; None if none can serve just now."""
        lane, model = self._lane(platform, wanted), wanted.model
        if wanted.context or wanted.output:
            wanted = self._without_short(platform, wanted)
        session = session if self._sticky_seconds else ""
        while True:
            now = self.clock.now()
            member = self._bound_member(platform, wanted, session, now)
            if member is None:
                member = lane.pick(model, now, wanted.but, session.encode())
            if member is None:
                return None
            due = member.due(model, now)
            if not all([self._claims(member, rest, now) for rest in due]):
                continue
            if (taken := member.begin(model, wanted.tokens, now)) is not None:
                return Lease(self, platform, member, model, now, due, session, taken)

    def next_look(self, platform: str, wanted: Wanted) -> Hindrance | None:
        """What keeps back the credential that can serve the soonest, which may be nothing any more; None
        if there is none to wait for.
        """
        now = self.clock.now()
        found = [
            member.hindrance(wanted.model, now) or Hindrance("", "ready", now)
            for member in self._members.get(platform, {}).values()
            if member.credential.id not in wanted.but
            and not fits(member.credential, wanted.groups, wanted.allowed)
            and not excess(member.credential, wanted)
        ]
        return min(found, key=lambda hindrance: hindrance.until, default=None)

    def fitting(self, platform: str, wanted: Wanted) -> bool:
        """Whether any credential may serve such a call at all, however it stands now."""
        members = self._members.get(platform, {}).values()
        return any(not fits(one.credential, wanted.groups, wanted.allowed) for one in members)

    def excess(self, platform: str, wanted: Wanted) -> list[Hindrance]:
        """The limits that the call is too long for, of those that may serve such a call."""
        found = (
            excess(member.credential, wanted)
            for member in self._members.get(platform, {}).values()
            if not fits(member.credential, wanted.groups, wanted.allowed)
        )
        return [one for one in found if one is not None]

    def _without_short(self, platform: str, wanted: Wanted) -> Wanted:
        """Leaves those alone that may not take so long a call."""
        members = self._members.get(platform, {})
        short = {name for name, one in members.items() if excess(one.credential, wanted)}
        return replace(wanted, but=short.union(wanted.but)) if short else wanted

    def candidates(self, platform: str, wanted: Wanted) -> list[Candidate]:
        """Everyone on the platform as they stand now, for whoever wants to choose again."""
        lane, now = self._lane(platform, wanted), self.clock.now()
        turns = {place.member.credential.id: (turn, place.order) for place, turn in lane.turns()}
        return [
            Candidate(
                member.credential,
                *turns.get(name, (0, 0)),
                busy=member.busy,
                rests=dict(member.rests),
                let=dict(member.let),
                spent=member.spent(now),
            )
            for name, member in self._members.get(platform, {}).items()
        ]

    def _lane(self, platform: str, wanted: Wanted) -> Lane:
        key = (platform, wanted.model, wanted.groups, wanted.allowed)
        lane = self._lanes.get(key)
        if lane is None:
            if len(self._lanes) >= MOST_LANES:
                del self._lanes[next(iter(self._lanes))]
            members = self._members.get(platform, {}).values()
            fitting = [
                one for one in members if not fits(one.credential, wanted.groups, wanted.allowed)
            ]
            lane = self._lanes[key] = Lane(fitting)
        return lane

    def _bound_member(
        self, platform: str, wanted: Wanted, session: str, now: float
    ) -> Member | None:
        """The credential this session stays with, if it can serve."""
        if not session or (bound := self._bound.get(session)) is None or bound[1] <= now:
            return None
        member = self._members.get(platform, {}).get(bound[0])
        if member is None or bound[0] in wanted.but:
            return None
        if fits(member.credential, wanted.groups, wanted.allowed):
            return None
        return member if member.hindrance(wanted.model, now) is None else None

    def _claims(self, member: Member, rest: Rest, now: float) -> bool:
        """Whether the probe of this rest is ours. From here on nobody else in this worker takes it
        for theirs.
        """
        member.learn(replace(rest, probed_at=now))
        for board in self._boards:
            try:
                if not board.claim(rest, now):
                    return False
            except GatewayError as error:
                log.warning("cannot ask the others for a probe: %s", error)
        return True

    # ------------------------------------------------------------ what became of it

    def accepted(self, lease: Lease) -> None:
        now = self.clock.now()
        lease.member.went_well(lease.model, now)
        for rest in lease.probes:
            known = lease.member.rests.get((rest.model, rest.kind))
            if known is not None and known.until == rest.until:
                self._learn(lease.platform, lease.member, replace(known, recovered_at=now))
        if lease.probes:
            log.info("a key serves again", extra=_about(lease.platform, lease.member, lease.model))
        if lease.session:
            self._bind(lease.session, lease.credential.id, now)

    def failed(self, lease: Lease, error: UpstreamError) -> None:
        if not self.rules.longest:
            return
        now, member = self.clock.now(), lease.member
        model = "" if error.whole else lease.model
        before = member.rests.get((model, error.kind))
        back = before is not None and before.phase(now) in ("probing", "ramping")
        if error.kind == "fault" and error.retry_after is None and not back:
            if not member.trips(model, now):
                return
        evidence = Evidence(error.kind, model[:200], error.code, lease.began, error.retry_after)
        rest = rested(before, lease.credential.id, evidence, now, self.rules)
        about = _about(lease.platform, member, model) | {"why": rest.why, "until": rest.until}
        if rest.is_retired(self.rules) and not (before and before.is_retired(self.rules)):
            log.error("a key is retired: the platform keeps refusing it", extra=about)
        elif before is None or rest.step > before.step:
            log.warning("a key rests", extra=about)
        self._learn(lease.platform, member, rest)

    def returned(self, lease: Lease, tokens: int, *, at_leisure: bool) -> None:
        lease.member.end()
        if self._tally is not None and lease.taken.name:
            self._tally.give(lease.taken, tokens, self.clock.now(), at_leisure=at_leisure)

    def charged(self, name: str, money: int) -> None:
        """So much was charged for a credential, in this worker."""
        if (purse := self.purses.get(name)) is not None:
            purse.own += money

    def _learn(self, platform: str, member: Member, rest: Rest) -> None:
        member.learn(rest)
        self._untold[rest.key] = rest
        if rest.recovered_at:
            self._wake(platform)
        self.on_news()

    def _bind(self, session: str, name: str, now: float) -> None:
        """The session stays with this credential; told again before that is forgotten."""
        before, until = self._bound.get(session), int(now + self._sticky_seconds)
        if before is not None and before[0] == name:
            if before[1] > now + 0.75 * self._sticky_seconds:
                return
        self._bound[session] = self._unbound[session] = (name, until)
        self._bound.move_to_end(session)
        while len(self._bound) > MOST_BINDINGS:
            self._bound.popitem(last=False)
        self.on_news()

    # ------------------------------------------------------------ the others

    def untold(self) -> tuple[list[Rest], dict[str, Bound]]:
        """What this worker has learnt since this was asked last."""
        rests, self._untold = self._untold, {}
        bound, self._unbound = self._unbound, {}
        return list(rests.values()), bound

    def known(self) -> tuple[list[Rest], dict[str, Bound]]:
        """All that this worker knows, for those who have missed something."""
        rests = [rest for member in self._everyone() for rest in member.rests.values()]
        return rests, dict(self._bound)

    def take(self, news: News) -> None:
        """Takes in what others have told."""
        if news.credentials is not None and self._vault is not None:
            found = {name: list(keys) for name, keys in self._settings.items()}
            for platform, credential in self._vault.opened(news.credentials):
                found.setdefault(platform, []).append(credential)
            self._take_in(found)
        for rest in news.rests:
            for platform, members in self._members.items():
                if (member := members.get(rest.credential)) is not None:
                    known = member.rests.get((rest.model, rest.kind))
                    both = merged(known, rest) if known is not None else rest
                    if both != known:
                        member.learn(both)
                        self._wake(platform)
        for session, bound in news.bindings.items():
            self._bound[session] = bound

    def _take_in(self, keys: Keys) -> None:
        """Puts these in place of the credentials so far. Who stays keeps what is known of them."""
        before, purses = self._members, self.purses
        self.purses = {}
        for credential in chain.from_iterable(keys.values()):
            if credential.allowance.counts_money:
                purse = purses.get(credential.id) or Purse(credential.allowance, self._days)
                purse.allowance = credential.allowance
                self.purses[credential.id] = purse
        self._members = {
            platform: {one.id: self._member(before.get(platform, {}), one) for one in credentials}
            for platform, credentials in keys.items()
        }
        given = (group for one in keys.values() for key in one for group in key.groups)
        self._groups = frozenset(GROUPS).union(given)
        self._lanes.clear()
        self._counting = frozenset(
            platform
            for platform, credentials in keys.items()
            if any(one.allowance.limits.counts_tokens for one in credentials)
        )
        self._measuring = frozenset(
            platform
            for platform, credentials in keys.items()
            if any(one.allowance.bounds_lengths for one in credentials)
        )

    def _member(self, before: Mapping[str, Member], credential: Credential) -> Member:
        known = before.get(credential.id)
        if known is None or known.credential.token != credential.token:
            known = Member(credential)
        known.credential = credential
        limits = credential.allowance.limits
        known.use = Use(self._tally, credential.id, limits) if self._tally and limits else None
        known.purse = self.purses.get(credential.id)
        return known

    def wake(self) -> None:
        """Looks at everyone again."""
        for platform in self._members:
            self._wake(platform)

    def _wake(self, platform: str) -> None:
        for key, lane in self._lanes.items():
            if key[0] == platform:
                lane.wake()

    def conditions(self) -> Counter[tuple[str, str]]:
        """How many credentials of each platform stand how, in the words of `condition`."""
        now = self.clock.now()
        return Counter(
            (platform, condition(one, now, self.rules)[0] if one.credential.enabled else "off")
            for platform in self._members
            for one in self.candidates(platform, Wanted(""))
        )

    def sweep(self) -> None:
        """Forgets what has been over for long."""
        now = self.clock.now()
        for member in self._everyone():
            member.sweep(now)

    def find(self, name: str) -> tuple[str, Candidate] | None:
        """The credential of this name or label, with its platform."""
        for platform, members in self._members.items():
            for member in members.values():
                if name in (member.credential.id, member.credential.label):
                    (found,) = (
                        one
                        for one in self.candidates(platform, Wanted(""))
                        if one.credential.id == member.credential.id
                    )
                    return platform, found
        return None

    def _everyone(self) -> Iterable[Member]:
        return (one for members in self._members.values() for one in members.values())


def _about(platform: str, member: Member, model: str) -> dict[str, object]:
    credential = member.credential
    return {
        "platform": platform,
        "credential": credential.id,
        "label": credential.label,
        "model": model or "all",
    }
