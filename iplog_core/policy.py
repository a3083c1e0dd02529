"""What a policy is: it looks at each alert on its way to the sinks, and says whether it goes on, how grave it is, and what else is known."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar

from iplog_core.settings import PolicySettings

if TYPE_CHECKING:
    from iplog_core.events import Alert, Severity

S = TypeVar("S", bound=PolicySettings)


class Policy(Generic[S]):
    """Decide about alerts, or add to them what the site knows.

    Set `name`, and define those of `keep`, `grade` and `fields` that it has something to say to. `keep` and `grade` are asked once an episode, when it
    starts: what they answer holds for its updates and its end, of 65,536 open episodes, so that no end is told whose start was dropped. `fields` is asked
    each time.

    Policies are asked in the order of the `enable` list, together with the hooks for alerts of other plugins. One that raises costs its own answer only;
    one that keeps raising is set aside. They run on the packets' thread: look up what was read at the start, wait for nothing.

    `counts` is for what the policy wants told in the statistics, by its own words: a Counter.
    """

    name: ClassVar[str]
    counts: Counter[str]

    def __new__(cls, *_: Any) -> Self:
        policy = super().__new__(cls)
        policy.counts = Counter()
        return policy

    def __init__(self, settings: S) -> None:
        self.settings = settings

    def start(self) -> None:
        """Read what is needed, before the first packet. Raise IplogError with one clear line for each fault.

        While watching, iplog has become its `user` by then. When the configuration is read again (SIGHUP) a new object starts and then takes the place of the
        old one; where it cannot start, the old one stays.
        """

    def keep(self, alert: Alert) -> bool | None:
        """Return whether the episode that starts reaches the sinks; None leaves it to the next plugin. With no answer it does. The first answer wins."""
        return None

    def grade(self, alert: Alert) -> Severity | None:
        """Return the severity of the episode that starts; None leaves it to the next plugin, in the end as it is. The first answer wins."""
        return None

    def fields(self, alert: Alert) -> dict[str, Any]:
        """Return what stands in JSON beside the alert's own members. Of two plugins that give the same field the one enabled first wins."""
        return {}

    def stop(self) -> None:
        """Let go of what `start` took: after the last alert, or when another object has taken its place."""


AnyPolicy = Policy[Any]


def questions(cls: type[AnyPolicy]) -> list[str]:
    """Return what a policy has something to say to: those of `keep`, `grade` and `fields` that its class defines."""
    return [name for name in ("keep", "grade", "fields") if getattr(cls, name) is not getattr(Policy, name)]
