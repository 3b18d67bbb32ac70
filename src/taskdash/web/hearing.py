"""The inputs as all instances hear them together: pages tell the same at every instance. The rule is `rules.fleet`."""

from taskdash.actions.liveness import source_of
from taskdash.model.instants import seconds
from taskdash.rules import fleet
from taskdash.rules.fleet import Heard, Report
from taskdash.rules.sight import Source
from taskdash.web.context import Web


def inputs_of(web: Web) -> dict[str, Source]:
    """Every input by name; heard while any instance that told of itself just now hears it."""
    own = Report(inputs=tuple(Heard(source_of(told)) for told in web.inputs))
    others = [one.report for one in web.others() if one.age < seconds(fleet.FRESH_S)]
    return {name: heard.source for name, heard in fleet.merged({}, [own, *others], 0).items()}
