"""Every metric this program has: its name and what it means, once. `docs/metrics.md` is made from this table.

The kind follows from the name: `_total` counts, names in a counter file with `%` are histograms, all else are
gauges. A test holds that every name in the source stands here and that the document is current.
"""

from enum import StrEnum
from typing import NamedTuple

from aaad.policy.codes import Discard, Reason
from aaad.radius.accounting import STATUSES, UNRECORDABLE


class Kind(StrEnum):
    """How Prometheus treats a family."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Family(NamedTuple):
    """One metric family: its labels in order and its meaning."""

    labels: tuple[str, ...]
    meaning: str


HISTOGRAMS = frozenset({"aaad_radius_answer_seconds", "aaad_radius_accounting_answer_seconds", "aaad_order_seconds"})
SLOT = "slot"
_POOL = ("space", "pool")
_POOL_STATE = (*_POOL, "state")
_ROUTER = (SLOT, "nas", "source_address", "nas_identifier", "proven")

FAMILIES: dict[str, Family] = {
    # the request path
    "aaad_radius_received_total": Family((SLOT,), "Datagrams that arrived on the authentication port."),
    "aaad_radius_answered_total": Family(
        (SLOT,), "Datagrams that were answered: first answers, retransmissions and Status-Server together."
    ),
    "aaad_radius_resent_total": Family((SLOT,), "Of these, retransmissions answered from memory."),
    "aaad_radius_status_answered_total": Family((SLOT,), "Of these, Status-Server questions."),
    "aaad_radius_pending_total": Family((SLOT,), "Requests that had to wait for a statement."),
    "aaad_radius_send_failed_total": Family((SLOT,), "Answers that the kernel did not take."),
    "aaad_radius_receive_failed_total": Family((SLOT,), "Errors while receiving."),
    "aaad_radius_spool_refused_total": Family((SLOT,), "Records that the spool had no room for."),
    "aaad_radius_refusals_uncounted_total": Family((SLOT,), "Refusals that were not counted per login: table full."),
    "aaad_radius_unwritten_total": Family(
        (SLOT,), "Decisions on requests that proved nothing, not in the journal: too many in their second."
    ),
    "aaad_radius_learned_total": Family((SLOT,), "Refusals and other facts that are to reach PostgreSQL."),
    "aaad_radius_learned_safe_total": Family((SLOT,), "Of these, those that are durable on this disk."),
    "aaad_radius_learned_lost_total": Family((SLOT,), "Of these, those lost: killed process, or no room."),
    "aaad_radius_decisions_total": Family((SLOT, "reason"), "Decisions on Access-Requests by reason."),
    "aaad_radius_discarded_total": Family(
        (SLOT, "cause"), "Datagrams on the authentication port left without an answer, by cause."
    ),
    "aaad_radius_answer_seconds": Family(
        (SLOT,), "Time from the kernel's receipt of a request to its answer. There is no sum: only buckets are kept."
    ),
    # accounting
    "aaad_radius_accounting_received_total": Family((SLOT,), "Datagrams that arrived on the accounting port."),
    "aaad_radius_accounting_answered_total": Family(
        (SLOT,), "Of these, answered: safe records, what cannot be recorded, copies and Status-Server together."
    ),
    "aaad_radius_accounting_records_total": Family(
        (SLOT, "status"), "Accounting records made safe, on the disk or else in PostgreSQL, by Acct-Status-Type."
    ),
    "aaad_radius_accounting_unrecordable_total": Family(
        (SLOT, "missing"),
        "Accounting-Requests acknowledged of which nothing can be recorded: unknown status type, no session id.",
    ),
    "aaad_radius_accounting_copies_total": Family((SLOT,), "Of these, retransmissions answered from memory."),
    "aaad_radius_accounting_status_answered_total": Family((SLOT,), "Of these, Status-Server questions."),
    "aaad_radius_accounting_discarded_total": Family(
        (SLOT, "cause"), "Datagrams on the accounting port left without an answer, by cause."
    ),
    "aaad_radius_accounting_answer_seconds": Family(
        (SLOT,), "Time from the kernel's receipt of an Accounting-Request to its answer, the disk's part included."
    ),
    "aaad_radius_simultaneous_unasked_total": Family(
        (SLOT,), "Requests let in without asking who else is connected: PostgreSQL did not answer in time."
    ),
    "aaad_radius_probes_total": Family((SLOT,), "Sessions whose NAS was asked by CoA whether they live."),
    "aaad_radius_probe_answers_total": Family((SLOT, "outcome"), "What it said: alive, gone, refused or silent."),
    "aaad_radius_addresses_total": Family(
        (SLOT, "outcome"),
        "Logins that needed something of our own pools: answered from a lease that stands, or after a claim; refused "
        "as the pool is exhausted; left without an answer; let in without an IPv6 prefix that was due; blocked, and "
        "in the usual pool as that of blocked addresses is full.",
    ),
    "aaad_pool_bound_total": Family(
        (SLOT, "how"), "Units bound: new ones, those that the login had before, by the spool without PostgreSQL."
    ),
    "aaad_pool_candidates_refused_total": Family(
        (SLOT,), "Units set aside here that PostgreSQL says are another's, or not ours any more."
    ),
    "aaad_pool_bindings_failed_total": Family((SLOT,), "Batches that PostgreSQL did not bind, or not in time."),
    "aaad_pool_claims_total": Family((SLOT, "outcome"), "Claims of units to set aside: got some, nothing, failed."),
    "aaad_pool_units_given_back_total": Family(
        (SLOT,), "Units set aside that went back: others found nothing, or the pool is drained."
    ),
    "aaad_pool_reserves_lost_total": Family((SLOT,), "Claims that PostgreSQL says are not this process's any more."),
    "aaad_pool_reserve_addresses": Family(
        (SLOT,), "Units of all pools that this process can give out by itself now."
    ),
    "aaad_pool_reserve_free_addresses": Family(
        (SLOT, "space", "pool"), "The same of each pool: what new logins get while PostgreSQL is away."
    ),
    "aaad_bugs_total": Family((SLOT,), "Errors of this program that it survived; each is logged with its traceback."),
    "aaad_journal_dropped_total": Family((SLOT,), "Decisions not written to the journal: no room, or too long."),
    # routers, since the radius process began: those in trouble and the last heard. proven="false" is all that came
    # from an address without proving the secret.
    "aaad_router_requests_total": Family(_ROUTER, "Access-Requests of this router."),
    "aaad_router_granted_total": Family(_ROUTER, "Accepts to this router."),
    "aaad_router_refused_total": Family(_ROUTER, "Rejects to this router."),
    "aaad_router_resent_total": Family(_ROUTER, "Retransmissions of this router answered from memory."),
    "aaad_router_late_total": Family(_ROUTER, "Requests of this router dropped as too late."),
    "aaad_router_bad_authenticators_total": Family(_ROUTER, "Packets whose signature did not fit the secret."),
    "aaad_router_unsigned_dropped_total": Family(
        _ROUTER, "Requests dropped because the router no longer sends Message-Authenticator: replaced or downgraded."
    ),
    "aaad_router_accounting_heard_total": Family(_ROUTER, "Accounting-Requests that proved this router's secret."),
    "aaad_router_accounting_bad_authenticators_total": Family(
        _ROUTER, "Accounting-Requests whose authenticator did not fit the secret."
    ),
    "aaad_router_accepts_without_start_total": Family(
        _ROUTER, "Accepts after which no session began within 30 s: wrong secret with CHAP, or missing pool."
    ),
    "aaad_router_starts_unmatched_total": Family(
        _ROUTER, "Starts of sessions that no Accept of this slot waited for; another slot's may have."
    ),
    "aaad_router_last_heard_at_seconds": Family(_ROUTER, "When this router was last heard (Unix time)."),
    # the kernel
    "aaad_udp_dropped_total": Family(
        ("address", "port", "socket"), "Datagrams that the kernel dropped because the socket's buffer was full."
    ),
    "aaad_udp_queued_bytes": Family(("address", "port", "socket"), "Octets that wait in the socket's buffer now."),
    # the node
    "aaad_node_info": Family(("node", "version"), "Always 1: the node's name and version."),
    "aaad_role_up": Family((SLOT,), "1 if this role's loop has turned within the last seconds, else 0."),
    "aaad_role_age_seconds": Family((SLOT,), "Time since this role's loop last showed that it turns."),
    "aaad_role_heartbeat_seconds": Family((SLOT,), "When this role's loop last showed that it turns (Unix time)."),
    "aaad_role_first_threads": Family(
        (SLOT,),
        "Threads of this process that are scheduled before all ordinary ones: 2, 1 while it is busy or starts, 0 "
        "where that may not be; the log says why.",
    ),
    "aaad_role_restarts_total": Family((SLOT, "role"), "Starts of a role's process after its first."),
    "aaad_role_lost_requests_total": Family(
        (SLOT, "role"), "Requests that a role had taken from the kernel and not dealt with when it died."
    ),
    "aaad_config_last_reload_successful": Family(
        (SLOT,), "1 if the configuration on disk is in force, 0 if it was refused when it was last read."
    ),
    "aaad_config_last_reload_at_seconds": Family((SLOT,), "When a configuration was last put in force (Unix time)."),
    "aaad_counters_readable": Family((SLOT,), "1 if this slot's counter file can be read, else 0."),
    "aaad_control_turned_away_total": Family(
        (SLOT,), "Connections to /metrics and the control socket above their bound."
    ),
    "aaad_replica_complete": Family((), "1 once the node's replica was completely loaded, else 0."),
    "aaad_replica_polled_at_seconds": Family((SLOT,), "When the feed last looked at the change log (Unix time)."),
    "aaad_replica_lag_seconds": Family(
        (SLOT,), "From a change's commit to its application, of the last one applied."
    ),
    "aaad_replica_polls_total": Family((SLOT,), "Looks at the change log that succeeded."),
    "aaad_replica_poll_failures_total": Family((SLOT,), "Looks at the change log that failed."),
    "aaad_replica_changes_applied_total": Family((SLOT,), "Changes applied to the replica."),
    "aaad_replica_lease_changes_applied_total": Family(
        (SLOT,), "Times that a login's leases were copied to the replica."
    ),
    "aaad_replica_unusable_leases_total": Family(
        (SLOT,), "Logins with a lease that could not be copied; the log names them."
    ),
    "aaad_replica_resyncs_total": Family((SLOT,), "Times that the replica was built anew."),
    "aaad_replica_checksums_total": Family((SLOT,), "Comparisons of the whole replica with PostgreSQL."),
    "aaad_replica_holds_total": Family((SLOT,), "Times that the brake set changes aside."),
    "aaad_replica_held_logins": Family((SLOT,), "Logins whose change the brake holds back now."),
    "aaad_replica_unusable_logins": Family((SLOT,), "Rows that cannot be compiled; the log names them."),
    "aaad_replica_age_seconds": Family((), "Time since the feed last looked at the change log with success."),
    "aaad_replica_logins": Family((), "Logins in the replica."),
    "aaad_spool_undrained_records": Family((SLOT,), "Records on this node's disk that are not in PostgreSQL yet."),
    "aaad_spool_records_at_risk": Family(
        (SLOT,), "What the writer knows of the same: records that the loss of this disk would lose."
    ),
    "aaad_spool_records_appended_total": Family((SLOT,), "Records that are durable on this disk."),
    "aaad_spool_records_refused_total": Family((SLOT, "reason"), "Records that were not taken: full or failed."),
    "aaad_spool_syncs_total": Family((SLOT,), "Times that the disk confirmed a batch."),
    "aaad_spool_segments_condemned_total": Family((SLOT,), "Segments given up after a failed write or sync."),
    "aaad_spool_segments_removed_total": Family(
        (SLOT,), "Drained segments that the writer removed before their time, for want of room."
    ),
    "aaad_spool_handoffs_total": Family((SLOT, "outcome"), "Batches given to the role sync since the disk failed."),
    "aaad_spool_bytes": Family((SLOT,), "Disk taken by the spool's segments, drained ones included."),
    "aaad_spool_disk_failures_total": Family((SLOT,), "Writes or syncs of the spool that failed."),
    "aaad_spool_unmirrored_records_total": Family(
        (SLOT,), "Records answered, or told to be safe, although the mirror did not have them in time."
    ),
    "aaad_spool_mirror_wanted": Family((SLOT,), "1 if the configuration names a mirror of this spool."),
    "aaad_spool_mirror_stage": Family((SLOT,), "How the mirror stands: 0 away, 1 catching up, 2 in step."),
    "aaad_spool_mirror_behind_bytes": Family((SLOT,), "Octets of the spool that the mirror has not confirmed."),
    "aaad_spool_mirror_away_since_seconds": Family(
        (SLOT,), "When the mirror was last in step (Unix time; 0: it is now)."
    ),
    "aaad_spool_mirror_losses_total": Family(
        (SLOT, "cause"), "Connections to the mirror that were lost or could not be made, by cause."
    ),
    # copies of other nodes' spools
    "aaad_mirror_batches_total": Family((SLOT,), "Batches of other nodes' spools put on this disk and confirmed."),
    "aaad_mirror_octets_total": Family((SLOT,), "Octets of these batches."),
    "aaad_mirror_refused_total": Family(
        (SLOT, "cause"), "Connections of other nodes' spools that were ended here, by cause."
    ),
    "aaad_mirror_segments_removed_total": Family((SLOT,), "Segments of copies removed: PostgreSQL has them."),
    "aaad_mirror_segments_superseded_total": Family(
        (SLOT,), "Segments of copies put aside: the owner's own spool does not have them any more."
    ),
    "aaad_mirror_open_connections": Family((SLOT,), "Spools that are being copied here now."),
    "aaad_mirror_bytes": Family((SLOT,), "Disk taken by the copies of other nodes' spools."),
    # the drain into PostgreSQL
    "aaad_drain_batches_total": Family((SLOT,), "Batches of spool records committed in PostgreSQL."),
    "aaad_drain_records_total": Family((SLOT, "kind"), "Spool records applied in PostgreSQL, by kind."),
    "aaad_drain_set_aside_total": Family(
        (SLOT, "cause"), "Records that could not be applied and lie in a file aside."
    ),
    "aaad_drain_skipped_total": Family(
        (SLOT, "kind"),
        "Rows not written: routers whose NAS entry is gone, refused names of a router that never proved its secret.",
    ),
    "aaad_drain_addresses_total": Family(
        (SLOT, "outcome"),
        "Addresses given out while PostgreSQL was away, by what the ledger made of them; conflict: another has it.",
    ),
    "aaad_drain_segments_missing_total": Family((SLOT,), "Segments that were gone before they were drained."),
    "aaad_drain_damaged_total": Family((SLOT,), "Places in segments that hold no record."),
    "aaad_drain_damaged_bytes_total": Family((SLOT,), "Octets of these places."),
    "aaad_drain_cursor_lost_total": Family((SLOT,), "Batches that another drain had committed already."),
    "aaad_drain_store_errors_total": Family((SLOT,), "Times that PostgreSQL failed the drain."),
    "aaad_drain_foreseen_total": Family(
        (SLOT,), "Sessions of a backlog whose rows were looked at before their batch's turn."
    ),
    "aaad_drain_foresight_failures_total": Family(
        (SLOT,), "Times that this failed; nothing is lost by it but speed, and it is left for ten seconds."
    ),
    "aaad_drain_segments_removed_total": Family((SLOT, "when"), "Drained segments deleted: due, or early for room."),
    "aaad_drain_undrained_records": Family((SLOT,), "Records of all slots that are not in PostgreSQL yet."),
    "aaad_drain_watermark_at_seconds": Family((SLOT,), "Everything older than this is in PostgreSQL (Unix time)."),
    "aaad_drain_watermark_age_seconds": Family((), "Time since the watermark."),
    "aaad_handoff_batches_total": Family(
        (SLOT, "outcome"), "Batches that sync took over from a role with a bad disk."
    ),
    "aaad_handoff_records_total": Family((SLOT,), "Records in these batches."),
    "aaad_handoff_unreadable_total": Family((SLOT,), "Batches handed over that could not be read."),
    # orders to the network, made by whichever node does it
    "aaad_orders_made_total": Family(
        (SLOT, "cause"), "Orders that were made, or became other ones, since something changed."
    ),
    "aaad_orders_superseded_total": Family((SLOT,), "Orders that had become needless before anybody began them."),
    "aaad_orders_held_back_total": Family(
        (SLOT,), "Orders that the brake held back, as they would cut too many: aaad order release lets them go."
    ),
    "aaad_orders_sessions_looked_at_total": Family(
        (SLOT, "why"), "Sessions whose grant was compared with what is decided now."
    ),
    "aaad_orders_lag_seconds": Family((SLOT,), "From the last change of a customer to its orders."),
    "aaad_orders_swept_at_seconds": Family((SLOT,), "When all sessions had been looked at last, Unix time."),
    "aaad_orders_reconcile_failures_total": Family((SLOT,), "Times that changes could not be turned into orders."),
    # the keeping of sessions, by whichever node does it
    "aaad_keeping_moved_total": Family((SLOT,), "Ended sessions moved from the live table to history."),
    "aaad_keeping_lost_total": Family((SLOT,), "Sessions closed because they were silent for too long."),
    "aaad_keeping_overlooked_total": Family(
        (SLOT,),
        "Silent sessions that were closed late, since many others came and went before the one that ended them.",
    ),
    "aaad_keeping_months_made_total": Family((SLOT,), "Months of history made."),
    "aaad_keeping_months_expired_total": Family(
        (SLOT, "outcome"),
        "Months of history whose time is over: dropped, reduced to sessions under a legal hold, held whole, or kept "
        "because the clock is doubted.",
    ),
    "aaad_keeping_purged_total": Family((SLOT, "table"), "Rows deleted because nothing asks for them any more."),
    "aaad_keeping_caps_total": Family((SLOT, "to"), "Logins whose cap was found to be used up, or free again."),
    "aaad_keeping_contests_total": Family((SLOT,), "Logins whose devices were found to push each other out."),
    "aaad_contested_logins": Family(
        (SLOT,), "Logins of the cluster whose devices are kept apart now, since they push each other out."
    ),
    "aaad_keeping_failures_total": Family((SLOT, "job"), "Times that PostgreSQL failed one of these jobs."),
    # the agenda, by whichever node does it
    "aaad_agenda_tasks_total": Family((SLOT, "kind", "state"), "Tasks of the agenda by what became of them."),
    "aaad_agenda_retries_total": Family((SLOT,), "Times that a task of the agenda failed and was put off."),
    "aaad_agenda_held_back_total": Family(
        (SLOT,), "Blocks that the agenda's brake held back: aaad agenda release lets them go."
    ),
    "aaad_agenda_failures_total": Family((SLOT, "job"), "Times that PostgreSQL failed one of these jobs."),
    # the keeping of the ledger of addresses, by whichever node does it
    "aaad_pool_keeping_released_total": Family((SLOT,), "Leases whose session ended, or never began."),
    "aaad_pool_keeping_extended_total": Family((SLOT,), "Leases in use that were extended, at half of their time."),
    "aaad_pool_keeping_freed_total": Family((SLOT,), "Marks of foreign addresses that nobody reports any more."),
    "aaad_pool_keeping_taken_back_total": Family((SLOT,), "Addresses of abandoned reserves that went back to pools."),
    "aaad_pool_keeping_adopted_total": Family(
        (SLOT,), "Leases made of what a session showed: the pool adopts, or the login had it last."
    ),
    "aaad_pool_keeping_marked_total": Family(
        (SLOT,), "Addresses marked because a concentrator reports them and they were not given out here."
    ),
    "aaad_pool_keeping_findings_total": Family(
        (SLOT, "kind"), "Findings that were opened: aaad pool check lists those that are not settled."
    ),
    "aaad_pool_keeping_failures_total": Family((SLOT, "job"), "Times that PostgreSQL failed one of these jobs."),
    # pools: the whole cluster's, as every node tells them
    "aaad_pool_addresses": Family(
        _POOL_STATE,
        "Addresses or prefixes of a pool by state: never given out, reserved by processes, bound, fixed, reported "
        "and not given out here, resting, free. Together they are its size.",
    ),
    "aaad_pool_size_addresses": Family(_POOL, "Addresses or prefixes of a pool, without those excluded."),
    "aaad_pool_offered_addresses": Family(_POOL, "Of the bound ones, those whose session has not begun."),
    "aaad_pool_unaccounted_addresses": Family(_POOL, "In no state, or in two: always 0."),
    "aaad_pool_alarmed": Family(_POOL, "1 if a pool is used beyond its alarm_percent, else 0."),
    "aaad_pool_adopting": Family(_POOL, "1 while a pool gives out only what is proven unused, else 0."),
    "aaad_pool_counted_at_seconds": Family(_POOL, "When it was counted (Unix time)."),
    "aaad_pool_exhausted_at_seconds": Family(
        _POOL, "When nothing is left if use grows as in the last weeks (Unix time); absent if that is not in sight."
    ),
    "aaad_pool_facts_at_seconds": Family((), "When this node last read these figures (Unix time)."),
    "aaad_address_findings": Family(
        ("kind",), "Addresses of which concentrators report something else than the ledger says, not settled."
    ),
    "aaad_leases_at_risk": Family(
        (), "1 if there are standbys and no commit waits for one: a promotion could give addresses out twice."
    ),
    # orders to the network, by whichever node carries them out
    "aaad_orders_taken_total": Family((SLOT,), "Times that this node took an order to carry it out."),
    "aaad_orders_steps_total": Family(
        (SLOT, "step", "said"),
        "Steps of orders by what came of them: done (an ACK, or done by the API), gone (no such session), refused "
        "(NAK, or a trap), silent, rejected (by a firewall, or nobody listens), unsent; of read: as wanted or not.",
    ),
    "aaad_orders_no_effect_total": Family(
        (SLOT,), "Times that a router said that it was done, and was read to be as before."
    ),
    "aaad_orders_reads_total": Family((SLOT,), "Times that a router's lists were read for orders."),
    "aaad_orders_ended_total": Family(
        (SLOT, "kind", "state"), "Orders that ended: unverified is acknowledged, with nothing to read it back by."
    ),
    "aaad_order_seconds": Family((SLOT,), "Time from an order's making to its end. Only buckets are kept."),
    "aaad_open_orders": Family((SLOT, "kind", "state"), "Open orders of the whole cluster."),
    "aaad_orders_oldest_age_seconds": Family((SLOT,), "Age of the oldest open order of the cluster."),
    "aaad_silent_concentrators": Family(
        (SLOT,), "Concentrators that answer this node's orders neither by RADIUS nor by their API."
    ),
    "aaad_concentrator_orders_silent": Family(
        (SLOT, "nas"), "1 while a concentrator answers no order, so that its orders wait behind one probe, else 0."
    ),
    "aaad_concentrator_order_failures_total": Family(
        (SLOT, "nas", "failure"),
        "Steps of orders that failed at a concentrator, since the process began: refused, silent, rejected by the "
        "network, or without effect although it said yes.",
    ),
    "aaad_orders_failures_total": Family((SLOT, "job"), "Times that PostgreSQL failed one of these jobs."),
    # the control role
    "aaad_heartbeat_at_seconds": Family(
        (SLOT,), "When this node last wrote its heartbeat to PostgreSQL (Unix time)."
    ),
    "aaad_questions_answered_total": Family((SLOT,), "Questions of other nodes and operators that were answered."),
}

_LABEL_VALUES = {
    "reason": [reason.label for reason in Reason],
    "cause": [cause.label for cause in Discard],
    "status": list(STATUSES.values()),
    "missing": list(UNRECORDABLE),
}


def kind_of(name: str) -> Kind:
    """Return the kind of a family by its name."""
    if name in HISTOGRAMS:
        return Kind.HISTOGRAM
    return Kind.COUNTER if name.endswith("_total") else Kind.GAUGE


def document() -> str:
    """Return the text of docs/metrics.md."""
    lines = [
        "# Metrics",
        "",
        "Made from `aaad/daemon/metric_families.py` by `python -m aaad.daemon.metric_families`: do not edit it.",
        "",
        "One endpoint per node, `http://ADDRESS:PORT/metrics` (`[metrics]` in the configuration), in the text format",
        "of Prometheus. `slot` is a process of the node, e.g. `radius-0`; sum over it. Sums survive a restart and a",
        "crash. No label ever holds a login, a customer or an address of one.",
        "",
        "| name | kind | labels | meaning |",
        "|---|---|---|---|",
    ]
    for name, family in FAMILIES.items():
        labels = ", ".join(f"`{label}`" for label in family.labels) or "–"
        lines.append(f"| `{name}` | {kind_of(name)} | {labels} | {family.meaning} |")
    for label, values in _LABEL_VALUES.items():
        lines += ["", f"Values of `{label}`: " + ", ".join(f"`{value}`" for value in values) + "."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(document(), end="")
