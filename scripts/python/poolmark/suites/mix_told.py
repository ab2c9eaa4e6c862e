# SPDX-License-Identifier: Apache-2.0
"""A mix in plain words, before it is played: who there is, what each phase does, how many of everything, and how long it takes.

    lines(mix)       the plan, a line each
    seconds(mix)     about how long it takes
"""
import math

from poolmark.base import schedules
from poolmark.base.forms import Json
from poolmark.base.progress import span
from poolmark.base.units import plural, show_count
from poolmark.suites.mix_file import Mix

CONNECTS_PER_S = 7_000      # of a small host that has both ends
REST_S = 2.0                # start, end, readings of memory


def count_of(act: Json) -> int:
    return int(act["goal"]) - int(act["before"])


def act_seconds(act: Json) -> float:
    """How long an act takes by itself; those that last as long as the phase: 0."""
    acts = count_of(act) * act.get("filters", 1)
    if act["do"] in ("publish", "churn", "slow"):
        return 0.0
    return schedules.seconds_of(act, act["rate_per_s"] or CONNECTS_PER_S, acts) + float(act.get("away_ns", 0)) / 1e9


def phase_seconds(phase: Json) -> float:
    return max([float(phase["duration_ns"]) / 1e9, *map(act_seconds, phase["acts"])])


def seconds(mix: Mix) -> float:
    return REST_S + sum(map(phase_seconds, mix.planned["config"]["phases"]))


def groups_of(mix: Mix) -> dict[str, Json]:
    return {group["name"]: group for group in mix.planned["config"]["groups"]}


def messages_of(phase: Json, act: Json) -> int | None:
    """Messages that are due in the phase; None: as many as are delivered."""
    if not act["rate_per_s"]:
        return None
    # Message n is due where the integral of the rate is n, before the end.
    exact = schedules.acts_by(act, float(act["rate_per_s"]), int(phase["duration_ns"]) / 1e9)
    return math.ceil(exact - 1e-6)


def deliveries_of(mix: Mix, act: Json, messages: int) -> int:
    """Of so many messages. The publishers of `topics` have not all the same number of subscribers: then about so many."""
    group = groups_of(mix)[act["group"]]
    if group["role"] == "pairs":
        return messages
    return messages * int(group["subscribers"]) // (int(group["topics"]) if group["pattern"] == "topics" else 1)


def counted(number: int | None, what: str) -> str:
    """1 client, 1 000 clients."""
    return f"{show_count(number)} {what if number == 1 else plural(2, what).partition(' ')[2]}"


def rate_text(rate: float) -> str:
    return f"{rate:.3g}" if rate < 1000 else show_count(rate)


def schedule_text(act: Json) -> str:
    """How its rate goes over time; "" when it is constant."""
    if act.get("schedule") == "poisson":
        return " at random"
    if not schedules.is_shaped(act):
        return ""
    steps = f" in {act['schedule_steps']} steps" if act["schedule"] == "stairs" else ""
    return f", from {rate_text(act['schedule_from_per_s'])} on{steps} over {span(act['schedule_over_ns'] / 1e9)}"


def act_text(phase: Json, act: Json) -> str:
    number, rate, kind = show_count(count_of(act)), act["rate_per_s"], act["do"]
    about = "about " if act.get("schedule") == "poisson" else ""
    by_rate = f", {rate_text(rate)} a second{schedule_text(act)}" if rate else ", as fast as it goes"
    if kind == "publish":
        messages = messages_of(phase, act)
        total = "as fast as they are delivered" if messages is None else \
            f"{rate_text(rate)} {'message' if rate == 1 else 'messages'} a second{schedule_text(act)}, {about}{show_count(messages)} in all"
        return f"{act['group']} publish {total}"
    if kind == "connect":
        return f"{number} {act['group']} connect{by_rate}"
    if kind == "churn":
        return f"{act['group']} churn{by_rate}, {about}{counted(messages_of(phase, act), 'arrival')} in all, by {act['by']}"
    if kind == "storm":
        return f"all {number} {act['group']} leave by {act['by']} and come back at once"
    if kind == "leave":
        return f"{number} {act['group']} leave by {act['by']}"
    if kind == "slow":
        how = f"read {counted(act['read_bytes_per_s'], 'byte')} a second each" if act["read_bytes_per_s"] else "read nothing"
        return f"{act['group']} {how}" + (f" for {span(act['for_ns'] / 1e9)}" if act["for_ns"] else "")
    return f"{act['group']} {kind}, {counted(act['filters'], 'filter')} each{by_rate}"


def group_text(group: Json) -> str:
    told = f"{counted(group['connections'], 'client')}, QoS {group['qos']}"
    if group["role"] == "publisher":
        return f"{told}, {group['pattern']} to {counted(group['subscribers'], 'subscriber')}, about {counted(group['payload_bytes'], 'byte')}"
    return told + (f", of {group['from']}" if "from" in group else "")


def totals(mix: Mix) -> dict[str, int]:
    found = {"connect": 0, "message": 0, "delivery": 0, "arrival": 0}
    once: set[str] = set()
    for phase in mix.planned["config"]["phases"]:
        for act in phase["acts"]:
            if act["do"] == "connect":
                found["arrival" if act["group"] in once else "connect"] += count_of(act)
                once.add(act["group"])
            elif act["do"] == "publish":
                messages = messages_of(phase, act) or 0
                found["message"] += messages
                found["delivery"] += deliveries_of(mix, act, messages)
            elif act["do"] == "churn":
                found["arrival"] += messages_of(phase, act) or 0
            elif act["do"] == "storm":
                found["arrival"] += count_of(act)
    return found


def lines(mix: Mix) -> list[str]:
    config, groups = mix.planned["config"], groups_of(mix)
    wide, long = max(map(len, groups)), max(len(phase["name"]) for phase in config["phases"])
    told = [config["title"] or mix.path.name,
            f"{plural(len(groups), 'group')}, {counted(config['connections'], 'client')} in all, engine {config['engine']}"]
    told += [f"  {name:<{wide}}  {group['role']}: {group_text(group)}" for name, group in groups.items()]
    told += [f"{plural(len(config['phases']), 'phase')}, about {span(seconds(mix))} in all"]
    for phase in config["phases"]:
        acts = [act_text(phase, act) for act in phase["acts"]] or ["all hold what they have"]
        told += [f"  {phase['name']:<{long}}  about {span(phase_seconds(phase))}: {'; '.join(acts)}"]
    told += ["due: " + ", ".join(counted(number, what) for what, number in totals(mix).items() if number)]
    return told
