// SPDX-License-Identifier: Apache-2.0
#include "loadgen/catalogue.h"

#define CONNECT "latency of a connect, TCP connect to CONNACK, from the intended time"
#define DELIVERY "intended publish time to arrival at the subscriber"
#define ACK "intended publish time to PUBACK (QoS 1) or PUBCOMP (QoS 2)"
#define ARRIVAL                                                                                              \
    "latency of an arrival (a client that comes, or comes back, while others are held) from the intended "   \
    "time, or from the loss of its connection, to CONNACK"
#define ARRIVAL_UNCORRECTED "the same from the beginning of the connect that succeeded"
#define MEAN ", of a `--schedule` that is not constant its mean"
#define EXPANDING ", of those during which a pool of its target expanded (arrivals.csv, events.csv)"
#define STEADY ", of those during which none did"
#define SUBSCRIBE "intended time of a SUBSCRIBE to SUBACK, one filter a packet (scenario subscribe)"
#define REPLAY                                                                                               \
    "intended time of a SUBSCRIBE to the arrival of the last of the retained messages that it matches "      \
    "(scenario subscribe, --retained)"
#define UNSUBSCRIBE "intended time of an UNSUBSCRIBE to UNSUBACK, one filter a packet (scenario subscribe)"
#define AT_OTHERS ", at the others (scenario slow, in which delivery.* is of the time between)"
#define RECOVERY                                                                                             \
    "time from when a slow reader reads again to the arrival of the first message at it that was due after " \
    "that"
#define UNCORRECTED ", counted from when the client got around to it"
#define IN_PHASE "; of that group in that phase (scenario mix)"
#define ONE_AT_A_TIME                                                                                        \
    ", counted from when it was sent; at a rate only of messages that were sent when the pair's message "    \
    "before had ended: what a client with one message under way at a time would have recorded"

// A figure of memory by each way to count it. PSS changes when other processes start and share libraries.
#define MEMORY_KINDS(prefix, what)                                                                           \
    {prefix "private_bytes", "B", "none", METRIC_SECONDARY, what " by private memory"},                      \
        {prefix "pss_bytes", "B", "none", METRIC_SECONDARY,                                                  \
         what " by PSS, which moves when other processes come and share libraries"},                         \
    {                                                                                                        \
        prefix "rss_bytes", "B", "none", METRIC_SECONDARY, what " by RSS"                                    \
    }

const struct metric loadgen_catalogue[] = {
    {"connect.rate", "1/s", "higher", METRIC_PRIMARY, "connections made, divided by connect.seconds"},
    {"connect.rate_asked", "1/s", "none", METRIC_SECONDARY,
     "the rate that was asked for" MEAN "; connects that took longer than it allows are an anomaly `rate`"},
    {"connect.seconds", "s", "lower", METRIC_SECONDARY,
     "from the common start to the last CONNACK, or with --rate, where some failed, to the end of the "
     "schedule, and with --rate one interval more, since n connects have n; pauses for memory readings not "
     "counted"},
    {"connect.retries", "1", "none", METRIC_SECONDARY,
     "connects after one that failed, of clients that had not been connected (connect, publish, steps, "
     "subscribe, slow with --backoff); the latency of their connect counts from the first one"},
    METRIC_LATENCY("connect", METRIC_PRIMARY, CONNECT),
    METRIC_LATENCY("connect_uncorrected", METRIC_SECONDARY, CONNECT UNCORRECTED),
    METRIC_LATENCY("delivery", METRIC_PRIMARY, DELIVERY),
    METRIC_LATENCY("delivery_uncorrected", METRIC_SECONDARY, DELIVERY ONE_AT_A_TIME),
    METRIC_LATENCY("delivery_before", METRIC_SECONDARY,
                   DELIVERY ", of messages due before readers were slow" AT_OTHERS),
    METRIC_LATENCY("delivery_after", METRIC_SECONDARY,
                   DELIVERY ", of messages due when slow readers read again" AT_OTHERS),
    METRIC_LATENCY("delivery_slow", METRIC_SECONDARY,
                   DELIVERY ", at slow readers, whenever due (scenario slow)"),
    METRIC_LATENCY("recovery", METRIC_PRIMARY, RECOVERY),
    METRIC_LATENCY("ack", METRIC_PRIMARY, ACK),
    METRIC_LATENCY("ack_uncorrected", METRIC_SECONDARY, ACK ONE_AT_A_TIME),
    METRIC_LATENCY("arrival", METRIC_PRIMARY, ARRIVAL),
    METRIC_LATENCY("arrival_uncorrected", METRIC_SECONDARY, ARRIVAL_UNCORRECTED),
    METRIC_LATENCY_ENDED("arrival_expanding", METRIC_SECONDARY, ARRIVAL EXPANDING),
    METRIC_LATENCY_ENDED("arrival_steady", METRIC_SECONDARY, ARRIVAL STEADY),
    {"arrivals.count", "1", "none", METRIC_SECONDARY, "clients that came (back)"},
    {"arrivals.rate", "1/s", "higher", METRIC_SECONDARY, "these, divided by arrivals.seconds"},
    {"arrivals.seconds", "s", "lower", METRIC_SECONDARY,
     "from the intended time of the first arrival to the last CONNACK, or where some failed or were missed "
     "to "
     "the end of the schedule, and of a burst with --burst-rate one interval more, since n arrivals have n; "
     "of "
     "several bursts the sum"},
    {"arrivals.rate_asked", "1/s", "none", METRIC_SECONDARY, "the rate that was asked for" MEAN},
    {"arrivals.pool_hit_rate", "%", "higher", METRIC_SECONDARY,
     "gets of the target's pools, while the scenario ran, that were served from owned memory (pools.csv, to "
     "the second)"},
    {"arrivals.retries", "1", "none", METRIC_SECONDARY, "connects after one that failed (--backoff)"},
    {"arrivals.resumed", "1", "none", METRIC_SECONDARY,
     "arrivals for which the target had kept the session (CONNACK says so)"},
    {"arrivals.not_sent", "1", "lower", METRIC_FAULT,
     "arrivals that were due while the same client's arrival before was still under way"},
    {"arrivals.failed", "1", "lower", METRIC_PRIMARY | METRIC_FAULT,
     "clients that did not come (back); anomalies `away` say why"},
    {"arrivals.unfinished", "1", "lower", METRIC_FAULT, "arrivals under way when the run ended early"},
    METRIC_LATENCY("subscribe", METRIC_PRIMARY, SUBSCRIBE),
    METRIC_LATENCY("unsubscribe", METRIC_PRIMARY, UNSUBSCRIBE),
    METRIC_LATENCY("replay", METRIC_PRIMARY, REPLAY),
    {"replay.retained", "1", "none", METRIC_SECONDARY,
     "scenario subscribe, --retained: messages that were published with RETAIN before, and removed after, "
     "and acknowledged"},
    {"replay.messages_due", "1", "none", METRIC_SECONDARY,
     "retained messages that SUBSCRIBEs match: their number for each SUBSCRIBE that was sent"},
    {"replay.messages", "1", "none", METRIC_SECONDARY, "of these, those that arrived, each counted once"},
    {"replay.messages_lost", "1", "lower", METRIC_PRIMARY | METRIC_FAULT,
     "of these, those that did not arrive within `--drain`, or before the connection was lost"},
    {"subscriptions.added", "1", "none", METRIC_SECONDARY, "SUBSCRIBEs that a SUBACK with a QoS answered"},
    {"subscriptions.removed", "1", "none", METRIC_SECONDARY, "UNSUBSCRIBEs that an UNSUBACK answered"},
    {"subscriptions.rate", "1/s", "higher", METRIC_SECONDARY, "both, divided by subscriptions.seconds"},
    {"subscriptions.seconds", "s", "lower", METRIC_SECONDARY,
     "from the intended time of the first change to the last answer, or where some have none to the end of "
     "the schedule, and one interval more, since n changes have n; the sum over all rounds"},
    {"subscriptions.rate_asked", "1/s", "none", METRIC_SECONDARY,
     "the rate that was asked for" MEAN "; an anomaly `rate` says when it was not reached"},
    {"subscriptions.standing", "1", "none", METRIC_SECONDARY,
     "subscriptions that there were at the reading memory.subscribed_bytes"},
    {"subscriptions.not_sent", "1", "lower", METRIC_FAULT,
     "SUBSCRIBEs and UNSUBSCRIBEs that were due and not sent: the client's change before was under way, or "
     "the client was not there"},
    {"subscriptions.failed", "1", "lower", METRIC_PRIMARY | METRIC_FAULT,
     "SUBSCRIBEs and UNSUBSCRIBEs that were refused, lost with their connection, or not answered within "
     "`--drain`"},
    {"subscriptions.unfinished", "1", "lower", METRIC_FAULT, "the same, under way when the run ended early"},
    {"messages.sent", "1", "none", METRIC_SECONDARY, "messages handed to the engine"},
    {"messages.received", "1", "none", METRIC_SECONDARY,
     "messages that arrived as they were sent; here and in the losses a message counts once for each of its "
     "subscribers"},
    {"deliveries.expected", "1", "none", METRIC_SECONDARY,
     "patterns other than pairs: the sum over all messages sent of the subscribers of their topic"},
    {"deliveries.rate", "1/s", "higher", METRIC_SECONDARY,
     "patterns other than pairs: deliveries (without the warm-up), divided by messages.seconds"},
    {"messages.rate", "1/s", "higher", METRIC_SECONDARY,
     "messages that arrived (without the warm-up), divided by messages.seconds; of a message with several "
     "subscribers the part of them that it reached"},
    {"messages.seconds", "s", "none", METRIC_SECONDARY,
     "the time that there was: from the end of the warm-up to the end of --duration, or of the run when that "
     "ended before, or to the last arrival when that came after"},
    {"messages.rate_asked", "1/s", "none", METRIC_SECONDARY,
     "the rate that was asked for" MEAN "; an anomaly `rate` says when it was not reached"},
    {"messages.not_sent", "1", "lower", METRIC_FAULT,
     "messages that were due and not sent: the client was not there, or the library refused"},
    {"messages.lost", "1", "lower", METRIC_PRIMARY | METRIC_FAULT,
     "messages that were sent and did not arrive within `--drain` (5 s, unless it says otherwise) of the "
     "end"},
    {"messages.corrupt", "1", "lower", METRIC_FAULT | METRIC_IF_ANY,
     "messages that arrived with another content than was sent: not among those received, and in no latency"},
    {"messages.unfinished", "1", "lower", METRIC_FAULT,
     "messages that were on their way when the run ended early"},
    {"messages.foreign", "1", "lower", METRIC_FAULT | METRIC_IF_ANY,
     "messages that arrived at this run's subscribers and are of no publisher of it, by their header: "
     "another generator's on the same topics, or another program's"},
    {"messages.misdelivered", "1", "lower", METRIC_FAULT | METRIC_IF_ANY,
     "messages of this run that arrived at clients that did not subscribe to them"},
    {"messages.duplicates", "1", "lower", METRIC_FAULT, "messages that arrived a second time"},
    {"messages.duplicates_excluded", "1", "lower", METRIC_FAULT | METRIC_IF_ANY,
     "of these, those that the QoS excludes: neither publisher nor subscriber have QoS 1, and it is no "
     "PUBLISH of QoS 2 again "
     "whose PUBREL has not come"},
    {"messages.out_of_order", "1", "lower", METRIC_FAULT | METRIC_IF_ANY,
     "messages received after a later one of the same publisher, whose order the target has to keep "
     "[MQTT-4.6.0-6]"},
    {"messages.qos_changed", "1", "lower", METRIC_FAULT | METRIC_IF_ANY,
     "messages received at another QoS than was asked for"},
    {"messages.topic_changed", "1", "lower", METRIC_FAULT | METRIC_IF_ANY,
     "messages of this run that arrived under another topic than they were published to [MQTT-3.3.2-3]"},
    {"messages.retain_changed", "1", "lower", METRIC_FAULT | METRIC_IF_ANY,
     "messages of this run that arrived with RETAIN 1 at a subscription that was there before them "
     "[MQTT-3.3.1-9], or with RETAIN 0 because of a SUBSCRIBE (scenario subscribe) [MQTT-3.3.1-8]"},
    {"messages.unacknowledged", "1", "lower", METRIC_PRIMARY | METRIC_FAULT,
     "messages without PUBACK or PUBCOMP within `--drain` (5 s, unless it says otherwise) of the end"},
    {"slow.readers", "1", "none", METRIC_SECONDARY, "subscribers that were slow (scenario slow)"},
    {"slow.closed", "1", "none", METRIC_SECONDARY,
     "of these, those that lost their connection; `summary.slow_closed` has the reasons"},
    {"slow.due", "1", "none", METRIC_SECONDARY, "deliveries that were due at slow readers"},
    {"slow.received", "1", "none", METRIC_SECONDARY, "of these, those that arrived"},
    {"slow.missed", "1", "none", METRIC_SECONDARY,
     "of these, those that had not arrived at the end: the target dropped them, or they were not read"},
    {"slow.not_recovered", "1", "lower", METRIC_PRIMARY | METRIC_FAULT,
     "slow readers that read again and got nothing that was due after that: lost connections among them"},
    {"slow.memory_per_reader_bytes", "B", "lower", METRIC_PRIMARY,
     "growth of the target's user memory while readers were slow, divided by slow.readers; what it keeps for "
     "each"},
    {"slow.tcp_per_reader_bytes", "B", "none", METRIC_SIGNED,
     "growth of the kernel's TCP memory of the whole host in that time, divided by slow.readers"},
    {"memory.start_bytes", "B", "lower", METRIC_SECONDARY,
     "user memory of the target, all instances, private to it (`summary.memory_is`: or what stands in for "
     "that): before the first connection; of a publishing phase, before the first message"},
    {"memory.full_bytes", "B", "lower", METRIC_SECONDARY,
     "the same with all connections open; of a publishing phase, after the last message"},
    {"memory.peak_bytes", "B", "lower", METRIC_PRIMARY,
     "the same, the highest reading of the run; only of scenarios in which memory comes and goes"},
    {"memory.after_bytes", "B", "lower", METRIC_PRIMARY,
     "the same when the arrivals are over and, of burst, the clients have left; of subscribe, when all "
     "subscriptions are gone"},
    {"memory.subscribed_bytes", "B", "lower", METRIC_SECONDARY,
     "the same when all clients have all of their subscriptions (scenario subscribe)"},
    {"memory.per_subscription_bytes", "B", "lower", METRIC_PRIMARY,
     "memory.subscribed_bytes less memory.full_bytes, divided by subscriptions.standing"},
    {"memory.per_connection_bytes", "B", "lower", METRIC_PRIMARY,
     "slope of user memory over open connections, from the first step (a tenth of the connections, or more "
     "when the target may have served so many before; without one the start) to all of them; not known of a "
     "target that served before, or of which that cannot be told (anomaly `served_before`)"},
    MEMORY_KINDS("memory.start_", "memory.start_bytes"),
    MEMORY_KINDS("memory.full_", "memory.full_bytes"),
    MEMORY_KINDS("memory.per_connection_", "memory.per_connection_bytes"),
    {"kernel.per_connection_bytes", "B", "lower", METRIC_SECONDARY,
     "growth of the kernel's slab and TCP memory from the start, divided by connections; both ends of a "
     "loopback pair; not known when the caches of sockets grew by another amount (anomaly `kernel_noise`)"},
    {"kernel.page_table_growth_bytes", "B", "none", METRIC_SIGNED,
     "growth of PageTables of the whole host, the generator's among it"},
    {"soak.memory_slope", "B/h", "lower", METRIC_PRIMARY | METRIC_SIGNED,
     "growth of the target's user memory an hour while soak loads it, without the first tenth of the time: "
     "Theil-Sen over the readings (docs/design.md)"},
    {"soak.memory_slope_low", "B/h", "none", METRIC_SIGNED,
     "the interval of that with 95 % confidence: from"},
    {"soak.memory_slope_high", "B/h", "none", METRIC_SIGNED, "to"},
    {"soak.memory_growth", "%/h", "lower", METRIC_SIGNED,
     "soak.memory_slope in percent of soak.memory_level_bytes"},
    {"soak.memory_level_bytes", "B", "none", METRIC_SECONDARY, "the median of these readings"},
    {"soak.memory_readings", "1", "none", METRIC_SECONDARY, "how many readings these are of"},
    {"soak.pool_fullness", "%", "lower", METRIC_SECONDARY,
     "objects in use at most, of the maximum, of the pool where that is most (pools.csv of `--watch-record`; "
     "pools without a maximum do not count)"},
    {"soak.reuse", "%", "higher", METRIC_SECONDARY,
     "gets of the target's pools, while soak loaded it, that were served from owned memory (pools.csv, to "
     "the second)"},
    {"soak.rounds", "1", "none", METRIC_SECONDARY, "`scripts/poolmark soak`: rounds of load that were made"},
    {"soak.kills", "1", "none", METRIC_SECONDARY, "the same: clients that were ended by SIGKILL"},
    {"soak.messages_checked", "1", "higher", METRIC_SECONDARY,
     "the same: messages whose arrival and content were checked"},
    {"soak.messages_lost", "1", "lower", METRIC_FAULT, "the same: of these, those that did not arrive"},
    {"soak.clients_lost", "1", "lower", METRIC_FAULT,
     "the same: clients that failed or were dropped, without those that were ended on purpose"},
    {"soak.memory_first_bytes", "B", "none", METRIC_SECONDARY,
     "the same: user memory of the broker when all clients have left, the highest of the warm-up"},
    {"soak.memory_last_bytes", "B", "lower", METRIC_SECONDARY, "the same after the last round"},
    {"soak.memory_more", "%", "lower", METRIC_SIGNED, "the same: by how much the last exceeds the first"},
    {"soak.descriptors_more", "1", "lower", METRIC_SIGNED,
     "the same: descriptors of the broker after the last round beyond those after the warm-up"},
    {"soak.objects_left", "1", "lower", METRIC_SECONDARY,
     "the same: objects of all pools in use when all clients have left, the most after any round"},
    {"attack.rounds", "1", "none", METRIC_SECONDARY,
     "suite `attack`: how often the attacker made its attack while others were measured "
     "(docs/robustness.md)"},
    {"attack.connections", "1", "none", METRIC_SECONDARY, "the same: connections that it made"},
    {"attack.sent_bytes", "B", "none", METRIC_SECONDARY, "the same: bytes that it sent"},
    {"attack.refused", "1", "none", METRIC_SECONDARY,
     "the same: connections of it that the broker refused or closed, and filters that it refused"},
    {"attack.stop_ns", "ns", "lower", METRIC_SECONDARY,
     "suite `attack`: from SIGTERM to the end of the broker, with what the attack left in it"},
    {"cpu.per_connection_ns", "ns", "lower", METRIC_PRIMARY,
     "CPU time of the target from the start to all connected, divided by connections; in `steps` without "
     "what the probes cost. Not known, as the other cpu.per_*, with the anomalies `failed_share`, "
     "`target_busy` and `other_clients`"},
    {"cpu.per_arrival_ns", "ns", "lower", METRIC_PRIMARY,
     "CPU time of the target from all connected to the end of the arrivals, divided by arrivals; leaving is "
     "in it"},
    {"cpu.per_change_ns", "ns", "lower", METRIC_PRIMARY,
     "CPU time of the target from all connected to the last subscription gone, divided by "
     "subscriptions.added and .removed; it is at rest for a part of that time (`--settle`)"},
    {"cpu.per_message_ns", "ns", "lower", METRIC_PRIMARY,
     "CPU time of the target while publishing, divided by messages"},
    {"cpu.per_delivery_ns", "ns", "lower", METRIC_SECONDARY,
     "patterns other than pairs: the same, divided by the deliveries that arrived"},
    {"clients.connected", "1", "none", METRIC_SECONDARY, "clients that did connect"},
    {"clients.failed", "1", "lower", METRIC_PRIMARY | METRIC_FAULT, "clients that did not connect"},
    {"clients.dropped", "1", "lower", METRIC_PRIMARY | METRIC_FAULT, "clients that lost their connection"},
    {"clients.qos_changed", "1", "lower", METRIC_FAULT | METRIC_IF_ANY,
     "subscriptions for which SUBACK granted another QoS than was asked for"},
    {"clients.session_unasked", "1", "lower", METRIC_FAULT | METRIC_IF_ANY,
     "connects with a clean session that the target answered by session present [MQTT-3.2.2-1]"},
    {"clients.alive", "1", "higher", METRIC_SECONDARY,
     "clients that proved to be alive at the top (an answered PINGREQ or a message)"},
    {"clients.bytes_sent", "B", "none", METRIC_SECONDARY,
     "bytes of MQTT that the clients sent, those of connects that failed too (engine raw, which has the "
     "sockets)"},
    {"clients.bytes_received", "B", "none", METRIC_SECONDARY, "the same that they received"},
    {"generator.per_client_bytes", "B", "none", METRIC_SECONDARY,
     "user memory of the generator (PSS), divided by clients"},
    {"generator.cpu_per_client_ns", "ns", "none", METRIC_SECONDARY,
     "CPU time of the generator while connecting, divided by connections"},
    {"generator.added_latency_p50", "ns", "none", METRIC_SECONDARY,
     "--self-latency: publish to delivery through a peer that answers at once, so what the generator and the "
     "loopback add at most; median"},
    {"generator.added_latency_p99", "ns", "none", METRIC_TAIL, "the same, 1 in 100 took longer"},
    {"schedule.lag_p99", "ns", "none", METRIC_TAIL,
     "how late the generator acted, against the intended times; past 1 ms an anomaly `late` says so"},
    {"generator.busiest_ran", "1", "none", METRIC_SECONDARY,
     "share of the time in which the generator's busiest thread was on a CPU, while what the scenario is "
     "about "
     "went on (messages, connects, arrivals, changes of subscriptions); near 1 it is the limit "
     "(`summary.limit`)"},
    {"generator.busiest_waited", "1", "none", METRIC_SECONDARY,
     "share in which that thread was ready to run and had no CPU"},
    {"generator.throttled_ns", "ns", "none", METRIC_SECONDARY,
     "how long a CPU quota let the generator stand still; more than 0 is an anomaly `throttled`"},
    {"cpu.throttled_ns", "ns", "none", METRIC_SECONDARY, "the same of the target, when it is watched"},
    {"cpu.idle_share", "1", "none", METRIC_SECONDARY,
     "share of a processor that the target took in the run's pauses, without a client or with idle ones: the "
     "load of others, or work of its own; of each pause the quietest half second, of all pauses the busiest"},
    {"network.listen_overflows", "1", "none", METRIC_SECONDARY,
     "handshakes that found an accept queue full, in the network namespaces of generator and target, "
     "whoever's they are; more than 0 is an anomaly `accept_queue` when a connect took 0.19 s or failed"},
    {"network.listen_drops", "1", "none", METRIC_SECONDARY, "those, and others that a listener dropped"},
    {"network.syn_retransmits", "1", "none", METRIC_SECONDARY,
     "SYNs and SYN-ACKs sent again; more than 0 is an anomaly `retransmits` when a connect took 0.95 s or "
     "failed"},
    {"network.ports_passed_over", "1", "none", METRIC_SECONDARY,
     "local ports that connects passed over, because they were taken (another program, TIME_WAIT); only "
     "where each client has its own (--ports, `config.ports`)"},
    {"network.tcp_timeouts", "1", "none", METRIC_SECONDARY, "retransmission timers that expired"},
    {"network.tcp_memory_pressures", "1", "none", METRIC_SECONDARY,
     "times that the kernel was short of TCP memory (tcp_mem)"},
    {"network.tcp_memory_aborts", "1", "none", METRIC_SECONDARY, "connections given up for want of it"},
    {"network.passive_opens", "1", "none", METRIC_SECONDARY,
     "connections that all listeners took, the target's and others'"},
    {"network.tcp_retransmits", "1", "none", METRIC_SECONDARY, "segments sent again"},
    {"schedule.lag_max", "ns", "none", METRIC_TAIL, "the same, the latest act"},

    {"step.N.user_bytes", "B", "lower", METRIC_SECONDARY, "user memory at the step of N connections"},
    {"step.N.kernel_bytes", "B", "none", METRIC_SIGNED,
     "growth of the kernel's slab and TCP memory from the start to that step"},
    {"step.N.took_ns", "ns", "lower", METRIC_SECONDARY,
     "from the start of that step's connects to the last CONNACK"},
    {"step.N.objects_bytes", "B", "none", METRIC_SECONDARY, "what the pool `connections` owns at that step"},
    {"step.N.buffers_bytes", "B", "none", METRIC_SECONDARY, "what the pool `buffers` owns"},
    {"step.N.arenas_bytes", "B", "none", METRIC_SECONDARY, "what the pool `arenas` owns"},
    {"step.N.messages_bytes", "B", "none", METRIC_SECONDARY, "what the pool `messages` owns"},
    {"step.N.rest_bytes", "B", "none", METRIC_SIGNED, "the user memory that is in none of them"},
    {"step.N.cpu_per_connection_ns", "ns", "lower", METRIC_SECONDARY,
     "CPU time of the target for each connection of that step"},
    {"step.N.connect.p50", "ns", "lower", METRIC_SECONDARY, "connects of that step: median"},
    {"step.N.connect.p99", "ns", "lower", METRIC_TAIL, "connects of that step: 1 in 100 took longer"},
    {"step.N.delivery.p50", "ns", "lower", METRIC_SECONDARY, "messages of the probes at that step: median"},
    {"step.N.delivery.p99", "ns", "lower", METRIC_TAIL, "the same: 1 in 100 took longer"},
    {"step.N.delivery.p99_9", "ns", "lower", METRIC_TAIL, "the same: 1 in 1000 took longer"},
    {"step.N.POOL.object_bytes", "B", "none", METRIC_SECONDARY,
     "that pool of the broker: bytes of an object"},
    {"step.N.POOL.owned", "1", "none", METRIC_SECONDARY,
     "that pool at that step, all instances: objects it has"},
    {"step.N.POOL.in_use", "1", "none", METRIC_SECONDARY, "the same: objects got and not put back"},

    {"phase.PHASE.seconds", "s", "none", METRIC_SECONDARY,
     "scenario mix: from the orders of the phase until all that was done in it was over"},
    {"phase.PHASE.connections", "1", "none", METRIC_SECONDARY, "connections of all groups at its end"},
    {"phase.PHASE.memory_bytes", "B", "lower", METRIC_SECONDARY,
     "user memory of the target then, as memory.full_bytes; not known from the first phase on in which "
     "others loaded it"},
    {"phase.PHASE.cpu_seconds", "s", "lower", METRIC_SECONDARY,
     "CPU time of the target from the end of the phase before; not known when others loaded it then"},
    {"GROUP.PHASE.clients.connected", "1", "none", METRIC_SECONDARY,
     "clients that did connect, of those that had not before" IN_PHASE},
    {"GROUP.PHASE.clients.failed", "1", "lower", METRIC_PRIMARY | METRIC_FAULT,
     "clients that did not connect" IN_PHASE},
    {"GROUP.PHASE.clients.dropped", "1", "lower", METRIC_PRIMARY | METRIC_FAULT,
     "clients that lost their connection" IN_PHASE},
    {"GROUP.PHASE.connect.rate", "1/s", "higher", METRIC_PRIMARY,
     "connections made, divided by the time from the beginning of the phase to the last CONNACK, counted as "
     "connect.seconds" IN_PHASE},
    METRIC_LATENCY("GROUP.PHASE.connect", METRIC_PRIMARY, CONNECT IN_PHASE),
    METRIC_LATENCY("GROUP.PHASE.connect_uncorrected", METRIC_SECONDARY, CONNECT UNCORRECTED IN_PHASE),
    {"GROUP.PHASE.messages.rate_asked", "1/s", "none", METRIC_SECONDARY,
     "the rate that was asked for" MEAN IN_PHASE},
    {"GROUP.PHASE.messages.sent", "1", "none", METRIC_SECONDARY, "messages handed to the engine" IN_PHASE},
    {"GROUP.PHASE.messages.not_sent", "1", "lower", METRIC_FAULT,
     "messages that were due and not sent" IN_PHASE},
    {"GROUP.PHASE.messages.unacknowledged", "1", "lower", METRIC_PRIMARY | METRIC_FAULT,
     "messages without PUBACK or PUBCOMP within `drain` of the end" IN_PHASE},
    METRIC_LATENCY("GROUP.PHASE.ack", METRIC_PRIMARY, ACK IN_PHASE),
    METRIC_LATENCY("GROUP.PHASE.ack_uncorrected", METRIC_SECONDARY, ACK ONE_AT_A_TIME IN_PHASE),
    {"GROUP.PHASE.deliveries.expected", "1", "none", METRIC_SECONDARY,
     "deliveries due at the group: of each message sent, the group's subscribers of its topic" IN_PHASE},
    {"GROUP.PHASE.messages.received", "1", "none", METRIC_SECONDARY,
     "of these, those that arrived as they were sent" IN_PHASE},
    {"GROUP.PHASE.deliveries.rate", "1/s", "higher", METRIC_SECONDARY,
     "these, divided by the time from the beginning of the phase to its end, or to the last arrival when "
     "that came after" IN_PHASE},
    {"GROUP.PHASE.messages.lost", "1", "lower", METRIC_PRIMARY | METRIC_FAULT,
     "deliveries that did not arrive within `drain` of the end" IN_PHASE},
    {"GROUP.PHASE.messages.duplicates", "1", "lower", METRIC_FAULT,
     "messages that arrived a second time" IN_PHASE},
    {"GROUP.PHASE.messages.unfinished", "1", "lower", METRIC_FAULT,
     "deliveries on their way when the run ended early" IN_PHASE},
    METRIC_LATENCY("GROUP.PHASE.delivery", METRIC_PRIMARY, DELIVERY IN_PHASE),
    METRIC_LATENCY("GROUP.PHASE.delivery_uncorrected", METRIC_SECONDARY, DELIVERY ONE_AT_A_TIME IN_PHASE),
    METRIC_LATENCY("GROUP.PHASE.delivery_slow", METRIC_SECONDARY,
                   DELIVERY ", at slow readers, whenever due" IN_PHASE),
    METRIC_LATENCY("GROUP.PHASE.recovery", METRIC_PRIMARY, RECOVERY IN_PHASE),
    {"GROUP.PHASE.slow.due", "1", "none", METRIC_SECONDARY,
     "deliveries that were due at these slow readers" IN_PHASE},
    {"GROUP.PHASE.slow.received", "1", "none", METRIC_SECONDARY, "of these, those that arrived" IN_PHASE},
    {"GROUP.PHASE.slow.missed", "1", "none", METRIC_SECONDARY,
     "of these, those that had not arrived at the end" IN_PHASE},
    {"GROUP.PHASE.slow.closed", "1", "none", METRIC_SECONDARY,
     "slow readers that lost their connection" IN_PHASE},
    {"GROUP.PHASE.slow.not_recovered", "1", "lower", METRIC_PRIMARY | METRIC_FAULT,
     "slow readers that read again and got nothing that was due after that" IN_PHASE},
    {"GROUP.PHASE.arrivals.count", "1", "none", METRIC_SECONDARY, "clients that came (back)" IN_PHASE},
    {"GROUP.PHASE.arrivals.retries", "1", "none", METRIC_SECONDARY,
     "connects after one that failed (`backoff`)" IN_PHASE},
    {"GROUP.PHASE.arrivals.resumed", "1", "none", METRIC_SECONDARY,
     "arrivals for which the target had kept the session" IN_PHASE},
    {"GROUP.PHASE.arrivals.not_sent", "1", "lower", METRIC_FAULT,
     "arrivals that were due while the same client's arrival before was under way" IN_PHASE},
    {"GROUP.PHASE.arrivals.failed", "1", "lower", METRIC_PRIMARY | METRIC_FAULT,
     "clients that did not come (back)" IN_PHASE},
    {"GROUP.PHASE.arrivals.unfinished", "1", "lower", METRIC_FAULT,
     "arrivals under way when the run ended early" IN_PHASE},
    METRIC_LATENCY("GROUP.PHASE.arrival", METRIC_PRIMARY, ARRIVAL IN_PHASE),
    METRIC_LATENCY("GROUP.PHASE.arrival_uncorrected", METRIC_SECONDARY, ARRIVAL_UNCORRECTED IN_PHASE),
    {"GROUP.PHASE.subscriptions.added", "1", "none", METRIC_SECONDARY,
     "SUBSCRIBEs that a SUBACK with a QoS answered" IN_PHASE},
    {"GROUP.PHASE.subscriptions.removed", "1", "none", METRIC_SECONDARY,
     "UNSUBSCRIBEs that an UNSUBACK answered" IN_PHASE},
    {"GROUP.PHASE.subscriptions.not_sent", "1", "lower", METRIC_FAULT,
     "changes that were due and not sent" IN_PHASE},
    {"GROUP.PHASE.subscriptions.failed", "1", "lower", METRIC_PRIMARY | METRIC_FAULT,
     "changes that were refused, lost, or not answered within `drain`" IN_PHASE},
    METRIC_LATENCY("GROUP.PHASE.subscribe", METRIC_PRIMARY, SUBSCRIBE IN_PHASE),
    METRIC_LATENCY("GROUP.PHASE.unsubscribe", METRIC_PRIMARY, UNSUBSCRIBE IN_PHASE),
    {"GROUP.PHASE.generator.busiest_ran", "1", "none", METRIC_SECONDARY,
     "share of the time of its acts in which the busiest thread of its workers was on a CPU, readers of its "
     "messages among them" IN_PHASE},
    {"GROUP.PHASE.generator.busiest_waited", "1", "none", METRIC_SECONDARY,
     "share in which that thread was ready to run and had no CPU" IN_PHASE},
    {0},
};
