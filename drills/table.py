"""All drills by name, in the order of the page; the longest first, because they are started in this order."""

from drills import disk, files, fuzz, kill_commands, kill_stages, load, network, trackers

DRILLS = {
    **kill_stages.DRILLS,
    **kill_commands.DRILLS,
    **disk.DRILLS,
    **trackers.DRILLS,
    **load.DRILLS,
    **network.DRILLS,
    **files.DRILLS,
    **fuzz.DRILLS,
}
