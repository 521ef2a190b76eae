"""When mint rotates, retries and deletes. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class MintRules:
    """How old credentials become, and how long mint waits."""

    user_seconds: float = 7_200.0
    """Age at which a password is rotated; Zalando's mint has the same default."""
    client_seconds: float = 30 * 86_400.0
    """Age at which a client's secret is rotated. A client without a secret is not rotated by age."""
    jitter: float = 0.1
    """The part of an age by which a rotation may be earlier, so that not all credentials are rotated together."""
    poll_seconds_max: float = 900.0
    """The longest time after which an instance reads a new object: no generation ends before its successor is older."""
    bound_seconds: float = 86_400.0
    """A generation ends this long after its successor was committed, even if instances have not reported it."""
    call_seconds_max: float = 30.0
    """Of one request to a provider; to a bucket, with its checks."""
    making_seconds_max: float = 60.0
    """A request whose answer was lost is not acted on after this time: until then the provider is not asked again, and
    what is written to a bucket is not withdrawn or replaced. Twice `call_seconds_max`."""
    verified_seconds_max: float = 3_600.0
    """A credential that was verified longer ago is verified again before another bucket gets it: the provider may have
    ended it meanwhile."""
    missing_seconds: float = 86_400.0
    """An application that is missing from Kio is deleted when it is still missing after this time."""
    deletions_an_hour_max: int = 10
    """Of applications that are missing from Kio: a mistake there must not end the credentials of all."""
    look_seconds_max: float = 900.0
    """An application is looked at again after this time, even if nothing is due."""
    readers_seconds: float = 120.0
    """How often is asked whether instances hold the new generation, at most; more rarely the longer it takes."""

    bucket_look_seconds: float = 3_600.0
    """How often is looked whether a bucket still holds what mint wrote, at most."""
    repair_seconds_max: float = 86_400.0
    """The longest pause before a credential is renewed that was tampered with again and again."""

    def __post_init__(self) -> None:
        assert 0 < self.call_seconds_max * 2 <= self.making_seconds_max <= self.poll_seconds_max <= self.bound_seconds
        assert self.user_seconds > 0 < self.client_seconds
        assert 0 <= self.jitter < 1
