"""Everything that can go wrong, as one tree.

    GatewayError                    ours: a bug or an outage
    ├── CallerError                 the caller's doing; never retried
    │   ├── BadRequest              a field is wrong; names it
    │   │   ├── BadAttachment       an image or a file cannot be used
    │   │   ├── Lossy               a field would be lost, and none may be
    │   │   ├── NoTools             the platform cannot call the caller's tools
    │   │   ├── UnknownParameter    a model's name carries what the model does not know
    │   │   ├── ConflictingParameters   ... or two things that exclude each other
    │   │   ├── UnsupportedParameter    ... or what the platform's API cannot do
    │   │   ├── WrongModel          the model makes something else
    │   │   └── UnknownGroup        no credential is in the group that was chosen
    │   ├── NoAccess                no licence, or a wrong one
    │   ├── NotAllowed              the licence does not cover this
    │   │   └── PriceUnknown        it is limited in money, and nobody knows what this costs
    │   ├── OverLimit               too much at once, or in a minute or a day
    │   │   ├── BudgetSpent         the money of this day or month is spent
    │   │   └── QuotaGone           all the money there was is spent
    │   ├── NotFound                no such path, model or object
    │   │   └── NotOffered          the platform has no such endpoint
    │   │       └── NothingBehind   ... and no server of its protocol has it behind that address
    │   ├── KeyReused               an idempotency key that belongs to another call
    │   ├── KeyInUse                the first call with the idempotency key still runs
    │   ├── AnswerNotKept           it is over, and what it was answered is not known any more
    │   ├── WrongMethod             the path exists, the method does not
    │   ├── TooLarge                the body is over the limit
    │   ├── WrongMedia              the body has a coding or type we do not read
    │   ├── WrongRange              a file has no such part
    │   ├── TooLong                 the licence allows no request, or no answer, that long
    │   └── CallerGone              nobody is listening any more
    │       └── Interrupted         ... or will be: the gateway stops
    ├── StorageFull                 there is no room for what would be made
    ├── StorageTrouble              the place where files are kept cannot be used just now
    ├── OutOfFiles                  nothing more can be opened, so the platform cannot be asked
    ├── NoCredential                the platform has no credential that may be tried
    ├── Verbatim                    the platform's refusal, to be told in its own bytes
    └── UpstreamError               the platform's doing, a 5xx; `verdict` says what to do next
        ├── RequestRefused          the platform finds fault with the request itself
        │   ├── Retired             what is wanted has an end, known without asking
        │   ├── ContextTooLong      the conversation does not fit the model
        │   └── ContentRefused      what was to be made is against the platform's rules
        ├── Throttled               too fast; `retry_after` may say how long
        ├── QuotaSpent              nothing is left on the credential's account
        ├── CredentialRefused       the platform does not like the credential
        ├── Unreachable             no connection
        │   └── ConnectionLost      ... or one that ended before the answer began
        ├── TimedOut                no answer in time
        └── BadReply                an answer that makes no sense
            ├── BrokenTransfer      an answer that stops before its end
            ├── EmptyReply          an answer that says nothing
            └── NoPicture           an answer without the picture that it was to be

A class carries its status, its type and its code; whoever raises it only says what happened. A
message is an English template plus the facts that fill it: `BadRequest("{field} is required",
field="model")`, so that it can be told in the caller's language. Facts never hold a token, a label
or an address of ours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

Verdict = Literal["rest", "retire", "retry", "stop"]


class GatewayError(Exception):
    """Something of ours failed; the caller can only try again later."""

    status: int = 500
    type: ClassVar[str] = "api_error"
    code: str = "internal_error"
    retry_after: float | None = None
    may_retry: bool | None = None  # told to the caller's SDK as `x-should-retry`, if it is not None
    breaks: ClassVar[bool] = False  # the transfer of a stream that it ends
    silent: ClassVar[bool] = False  # there is nobody who would hear of it
    may_be_done: bool = False  # what was asked for: nobody knows how far it had come

    def __init__(
        self,
        template: str = "the gateway could not finish the request",
        *,
        param: str | None = None,
        **facts: Any,
    ) -> None:
        super().__init__(template)
        self.template = template
        self.param = param
        self.facts = facts

    def __str__(self) -> str:
        return self.template.format(**self.facts) if self.facts else self.template

    def after(self, seconds: float | None) -> Self:
        """The same error, which now says when trying again makes sense."""
        self.retry_after = seconds
        return self


class CallerError(GatewayError):
    """The caller has to change something."""

    status = 400
    type = "invalid_request_error"
    code = "invalid_request"
    may_retry: bool | None = False


class BadRequest(CallerError):
    """A field is missing, has the wrong type or a value out of range."""

    code = "invalid_value"


class BadAttachment(BadRequest):
    """An image or a file in the request cannot be read, fetched or used."""

    code = "invalid_attachment"


class Lossy(BadRequest):
    """A field would be lost on the way to the platform, and the caller wants none to be."""

    code = "unsupported_fields"


class NoTools(BadRequest):
    """The platform has no way to call tools that the caller runs."""

    code = "tools_not_supported"


class UnknownParameter(BadRequest):
    """A model's name carries a parameter that is none of the model's."""

    code = "unknown_model_parameter"


class ConflictingParameters(BadRequest):
    """A model's name carries two parameters that exclude each other."""

    code = "conflicting_model_parameters"


class UnsupportedParameter(BadRequest):
    """A model's name carries a parameter that the platform's documented API cannot honour."""

    code = "unsupported_model_parameter"


class WrongModel(BadRequest):
    """The model is good, but not for this: it makes something else."""

    code = "model_not_supported"


class UnknownGroup(BadRequest):
    """A group was chosen that no credential here belongs to."""

    code = "group_not_found"


class NoAccess(CallerError):
    """There is no licence in the request, or it is not one of ours."""

    status = 401
    type = "authentication_error"
    code = "invalid_api_key"


class NotAllowed(CallerError):
    """The licence is good, but not for this."""

    status = 403
    type = "permission_error"
    code = "forbidden"


class PriceUnknown(NotAllowed):
    """The licence has a limit in money, and nobody knows what this would cost."""

    code = "price_unknown"


class OverLimit(CallerError):
    """The licence allows no more of this just now. `code` says which of its limits it is."""

    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"
    may_retry: bool | None = None

    def named(self, code: str) -> Self:
        self.code = code
        return self

    def after(self, seconds: float | None) -> Self:
        """In whole seconds: half a second early would be once more for nothing."""
        return super().after(None if seconds is None else math.ceil(seconds))


class BudgetSpent(OverLimit):
    """What may be spent in a day or a month is spent."""

    code = "budget_exceeded"
    may_retry = False


class QuotaGone(OverLimit):
    """What may ever be spent is spent, or the time for it is over."""

    type = "insufficient_quota"
    code = "insufficient_quota"
    may_retry = False


class NotFound(CallerError):
    """No such path, model or object."""

    status = 404
    code = "not_found"


class ModelNotFound(NotFound):
    """No model of that name can be called here."""

    code = "model_not_found"


class NotOffered(NotFound):
    """The path is one of ours, but this platform has nothing behind it."""

    code = "endpoint_not_supported"


class NothingBehind(NotOffered):
    """An endpoint of ours that no server we know has anything for (C-021)."""

    status = 501


class NotReady(CallerError):
    """What is asked for is still being made. Asking again at once does not help."""

    status = 409
    code = "video_not_ready"
    may_retry = False


class MediaGone(CallerError):
    """It was here, or would have been."""

    status = 410
    code = "video_expired"
    may_retry = False


class PicturesGone(MediaGone):
    """The same of pictures, told within their task: how that went can be read all the same."""

    code = "image_expired"


class KeyReused(CallerError):
    """The idempotency key belongs to a call that asked for something else."""

    status = 422
    code = "idempotency_key_reused"


class KeyInUse(CallerError):
    """The first call with the idempotency key still runs; who asks again gets its answer."""

    status = 409
    code = "idempotency_in_progress"
    may_retry = True


class AnswerNotKept(CallerError):
    """The first call with the idempotency key is over, and its answer was too large to be kept."""

    status = 409
    code = "idempotency_answer_too_large"


class WrongMethod(CallerError):
    """The path is one of ours, with another method."""

    status = 405
    code = "method_not_allowed"


class TooLarge(CallerError):
    """The body is over the limit."""

    status = 413
    code = "request_too_large"


class WrongMedia(CallerError):
    """The body has a content coding or a media type that is not read here."""

    status = 415
    code = "unsupported_media_type"


class WrongRange(CallerError):
    """A file has no such part."""

    status = 416
    code = "range_not_satisfiable"


class TooLong(BadRequest):
    """The request, or the answer it asks for, is longer than the licence, or any key, allows (C-241)."""

    code = "context_length_exceeded"

    def __init__(
        self, template: str, *, code: str = "context_length_exceeded", **facts: Any
    ) -> None:
        super().__init__(template, **facts)
        self.code = code


class CallerGone(CallerError):
    """The caller hung up; nobody reads what we would say."""

    status = 499
    code = "caller_gone"
    silent = True
    may_be_done = True


class Interrupted(CallerGone):
    """The gateway stops, and has waited for the end of the answer as long as it may. The platform has
    been paid for what it said (K-088).
    """

    status = 503
    type = "api_error"
    code = "interrupted"
    breaks = True
    silent = False


class StorageFull(GatewayError):
    """There is no room for what would be made; what is there is still given out."""

    status = 507
    code = "storage_full"
    may_retry = False


class StorageTrouble(GatewayError):
    """The place where files are kept cannot be used just now."""

    status = 503
    code = "storage_unavailable"


class OutOfFiles(GatewayError):
    """This worker, or the whole machine, may open no more files and connections just now. No platform
    was asked, and no other credential would help (R-145).
    """

    status = 503
    code = "gateway_overloaded"
    retry_after = 2.0


class NoCredential(GatewayError):
    """Nothing is left to call the platform with."""

    status = 503
    type = "api_error"
    code = "no_available_key"


class Verbatim(GatewayError):
    """The platform's own refusal, to be handed on byte for byte (C-044)."""

    code = "refused"

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        super().__init__("the platform answered with status {status}", status=status)
        self.status = status
        self.headers = headers
        self.body = body


class UpstreamError(GatewayError):
    """The platform failed: an error of its own, if nothing below says it closer. `verdict` tells what
    that means for the credential that met it: `kind` of what is held against it, and whether for the
    `whole` of it or for one model only. Where it `may_be_done` all the same, what must not be done twice
    is not asked for again.
    """

    status = 502
    type = "upstream_error"
    code = "upstream_error"
    verdict: Verdict = "retry"
    kind: str = "fault"
    whole: bool = False
    asked: bool = True  # false: the platform was not called at all


class RequestRefused(UpstreamError):
    """The platform finds fault with the request; another credential would not help."""

    status = 400
    type = "invalid_request_error"
    code = "invalid_request"
    verdict = "stop"
    may_retry = False

    def __init__(
        self,
        template: str,
        *,
        status: int = 400,
        code: str = "invalid_request",
        param: str | None = None,
        **facts: Any,
    ) -> None:
        super().__init__(template, param=param, status=status, **facts)
        self.status = status
        self.code = code


class Retired(RequestRefused):
    """The vendor has ended all that makes such things, so it was not asked."""

    code = "model_not_found"
    asked = False

    def __init__(self, template: str) -> None:
        super().__init__(template, status=410, code=self.code, param="model")


class ContextTooLong(RequestRefused):
    """The conversation is longer than the model's maximum context length."""

    def __init__(self, template: str, **facts: Any) -> None:
        super().__init__(template, **facts)
        self.code, self.param = "context_length_exceeded", "messages"


class ContentRefused(RequestRefused):
    """A picture or a film is against the platform's rules. The type is OpenAI's word for it."""

    type = "image_generation_user_error"
    code = "moderation_blocked"

    def __init__(self, template: str, **facts: Any) -> None:
        super().__init__(template, code=self.code, **facts)


class Throttled(UpstreamError):
    """The platform asks for patience; `retry_after` says how much, when it does. `kind` is what there
    was too much of.
    """

    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"
    verdict = "rest"
    kind = "requests"

    def __init__(self, template: str, *, kind: str = "requests", **facts: Any) -> None:
        super().__init__(template, **facts)
        self.kind = kind


class QuotaSpent(UpstreamError):
    """Nothing is left on the credential's account. Told in neutral words, like what follows."""

    status = 503
    code = "no_available_key"
    verdict = "rest"
    kind = "quota"
    whole = True


class CredentialRefused(UpstreamError):
    """The platform does not accept the credential. Told in neutral words: it is not the caller's
    (K-093).
    """

    status = 503
    code = "no_available_key"
    verdict = "retire"
    kind = "refused"

    def __init__(self, template: str, *, whole: bool = True, **facts: Any) -> None:
        super().__init__(template, **facts)
        self.whole = whole


class Unreachable(UpstreamError):
    """No connection."""

    code = "upstream_unreachable"
    whole = True


class ConnectionLost(Unreachable):
    """The platform closed the connection before a byte of its answer had come (R-039). It may have
    read the request.
    """

    code = "upstream_connection_lost"
    may_be_done = True


class TimedOut(UpstreamError):
    """The platform did not answer in time. It may have answered by now, so asking again may cost
    twice (K-088).
    """

    status = 504
    code = "upstream_timeout"
    may_retry = False
    may_be_done = True


class BadReply(UpstreamError):
    """The platform's answer makes no sense."""

    code = "upstream_bad_reply"
    may_be_done = True


class BrokenTransfer(BadReply):
    """The platform's answer stopped before its end; it has been paid for (K-088)."""

    code = "upstream_truncated"
    may_retry = False
    breaks = True


class EmptyReply(BadReply):
    """The platform answered without a word, a thought or a call."""

    code = "upstream_empty"


class NoPicture(BadReply):
    """The platform answered, and has been paid for it, but not with a picture."""

    code = "no_image_generated"
    verdict = "stop"
    may_retry = False


def outcome_of(error: BaseException) -> str:
    """The code of what a call ended with."""
    return error.code if isinstance(error, GatewayError) else GatewayError.code


def let_go(error: BaseException) -> None:
    """Forgets which frames an error has come through. They hold the caller's token, and a frame that
    holds the error in turn would keep it until the next garbage collection (R-077).
    """
    behind: BaseException | None = error
    while behind is not None:
        behind.__traceback__ = None
        behind = behind.__context__
