"""The inputs as all instances hear them together: pages tell the same at every instance. The rule is `rules.fleet`."""

from taskdash.actions.liveness import heard
from taskdash.rules import fleet
from taskdash.rules.fleet import Report
from taskdash.rules.sight import Source
from taskdash.web.context import Web


def inputs_of(web: Web) -> dict[str, Source]:
    """Every input by name; heard while any instance that told of itself just now hears it."""
    own = Report(inputs=tuple(heard(web.inputs)))
    others = [one.report for one in web.others() if one.is_fresh]
    return {name: told.source for name, told in fleet.merged({}, [own, *others], 0).items()}
