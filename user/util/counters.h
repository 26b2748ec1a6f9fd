/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * counters.h - the loss ledger and every other counter, one row each.
 *
 * A row is {field, metric, labels, help}; /metrics prints the table as it
 * stands, so adding a counter is adding a row. Rows of one metric stand
 * together (Prometheus wants that). Counters only grow and are never reset.
 *
 * The ledger's equations, which tests check:
 *   lines:  captured + backfilled = parsed
 *           parsed lines become events; parsed + emitted = stored + filtered + collapsed +
 *           refused (emitted: events that no line made; collapsed: the same error again)
 *   events: stored = delivered + waiting + evicted   (per sink)
 *
 * Threads: a counter has exactly one writing thread and any number of readers.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

/* clang-format off */
#define OBS_COUNTERS(X) \
	X(records,		"records_total",	"",	"Records taken from the ring buffer") \
	X(record_bytes,		"record_bytes_total",	"",	"Bytes taken from the ring buffer") \
	X(records_bad_size,	"records_bad_total",	"reason=\"size\"",	"Records that decode refused") \
	X(records_bad_version,	"records_bad_total",	"reason=\"version\"",	"Records that decode refused") \
	X(records_bad_type,	"records_bad_total",	"reason=\"type\"",	"Records that decode refused") \
	X(marks,		"marks_total",		"",	"Records that only said that a file was written to (splice, sendfile, io_uring, aio, over budget)") \
	X(lines_captured,	"lines_total",		"place=\"captured\"",	"Log lines by how their last byte came to us") \
	X(lines_backfilled,	"lines_total",		"place=\"backfilled\"",	"Log lines by how their last byte came to us") \
	X(lines_parsed,		"lines_parsed_total",	"",	"Lines given to the parser") \
	X(lines_blank,		"lines_blank_total",	"",	"Empty lines, which make no event") \
	X(lines_cut,		"lines_cut_total",	"",	"Lines longer than limits.line_bytes, cut and marked") \
	X(lines_put_off,	"assembly_full_total",	"what=\"put_off\"",	"Times that lines without an end filled limits.assembly_bytes: their file is read again later, or they were split") \
	X(lines_split,		"assembly_full_total",	"what=\"split\"",	"Times that lines without an end filled limits.assembly_bytes: their file is read again later, or they were split") \
	X(events_parsed,	"events_total",		"place=\"parsed\"",	"Events by the place they reached") \
	X(events_emitted,	"events_total",		"place=\"emitted\"",	"Events by the place they reached") \
	X(events_filtered,	"events_total",		"place=\"filtered\"",	"Events by the place they reached") \
	X(events_collapsed,	"events_total",		"place=\"collapsed\"",	"Events by the place they reached") \
	X(events_refused,	"events_total",		"place=\"refused\"",	"Events by the place they reached") \
	X(events_stored,	"events_total",		"place=\"stored\"",	"Events by the place they reached") \
	X(pauses,		"pauses_total",		"",	"Times that reading on from files stopped because events found no way into the store") \
	X(events_evicted_size,	"events_evicted_total",	"reason=\"size\"",	"Stored events removed before every sink had them") \
	X(events_evicted_age,	"events_evicted_total",	"reason=\"age\"",	"Stored events removed before every sink had them") \
	X(bytes_captured,	"stream_bytes_total",	"place=\"captured\"",	"Bytes of node output by how they came to us") \
	X(bytes_backfilled,	"stream_bytes_total",	"place=\"backfilled\"",	"Bytes of node output by how they came to us") \
	X(bytes_lost_truncated,	"lost_bytes_total",	"reason=\"truncated\"",	"Bytes of node output that nothing could bring back") \
	X(bytes_lost_unreadable,"lost_bytes_total",	"reason=\"unreadable\"",	"Bytes of node output that nothing could bring back") \
	X(bytes_lost_console,	"lost_bytes_total",	"reason=\"console\"",	"Bytes of node output that nothing could bring back") \
	X(console_foreign_bytes,"console_foreign_bytes_total","",	"Bytes of consoles that were not captured, of containers that turned out to be no nodes") \
	X(console_hole_bytes,	"console_hole_bytes_total","",	"Bytes of consoles that were not captured, and are read from their engine's file") \
	X(console_lines_matched,"console_log_lines_total","place=\"captured\"",	"Lines of engines' files of consoles, while consoles are captured") \
	X(console_lines_repaired,"console_log_lines_total","place=\"repaired\"",	"Lines of engines' files of consoles, while consoles are captured") \
	X(console_lines_unsure,	"console_log_lines_total","place=\"unsure\"",	"Lines of engines' files of consoles, while consoles are captured") \
	X(kept_bad_bytes,	"console_log_bad_bytes_total","",	"Bytes in engines' files of container output that were no entry, skipped") \
	X(holes,		"holes_total",		"",	"Gaps between a stream's cursor and the next captured write, read back from the file") \
	X(growth_found,		"growth_found_bytes_total","",	"Bytes found by looking at a file that no probe had told of (mmap, or inotify's rung)") \
	X(rewrites,		"rewrites_total",	"",	"Writes before a stream's cursor, not emitted again") \
	X(truncations,		"truncations_total",	"",	"Files that became shorter than their cursor") \
	X(rotated_found,	"rotated_found_total",	"",	"Rotated files, their copies and archives that held something unread") \
	X(rotated_unread,	"rotated_unread_total",	"",	"Rotated files that may hold something unread and could not be opened or unpacked") \
	X(files_missed,		"files_missed_total",	"",	"Logs that were made and gone again before anybody looked (where writes are not captured)") \
	X(watch_overflows,	"watch_overflows_total",	"",	"Times that the kernel's queue of file changes was full (inotify): everything was looked at") \
	X(backfill_waits,	"backfill_waits_total",	"",	"Times that an old log waited for live lines (limits.backfill_bytes_per_s)") \
	X(rotated_skipped,	"rotated_skipped_total","",	"Files beside a log that were not looked into, since more rotated ones stand there than are looked at") \
	X(searches_hurried,	"searches_hurried_total","",	"Searches for the rotated rest of a log made ahead of time, since more waited than may wait") \
	X(places_refused,	"places_refused_total","",	"Directories not watched for new logs, since as many are watched as may be") \
	X(files_announced_again,"files_announced_again_total","",	"Followed files that the kernel told of again, since its table of files had no room for all") \
	X(streams_refused,	"streams_refused_total","",	"Files not followed because limits.streams was reached") \
	X(descriptors_refused,	"descriptors_refused_total","",	"Files not opened because descriptors ran out (RLIMIT_NOFILE)") \
	X(pending_overflow,	"pending_overflow_total","",	"Records of a node still being identified that found no room to wait") \
	X(pending_console_bytes,"pending_console_bytes_total","",	"Bytes of consoles in these records: read from the engine's file where it keeps one, else lost") \
	X(connections_opened,	"connections_total",	"what=\"opened\"",	"TCP connections of nodes, both directions") \
	X(connections_closed,	"connections_total",	"what=\"closed\"",	"TCP connections of nodes, both directions") \
	X(connects_failed,	"connections_total",	"what=\"failed\"",	"TCP connections of nodes, both directions") \
	X(connections_not_accepted,"connections_total",	"what=\"not_accepted\"","TCP connections of nodes, both directions") \
	X(connection_events_limited,"connection_events_limited_total","",	"Events about connections not made because of connections.events_per_second") \
	X(connections_told_late,"connections_told_late_total","",	"Connections that only their end told of: more than 1,000 of a node began in that second, or there was no room") \
	X(connection_ends_missed,"connection_ends_missed_total","",	"Connections whose end was found out later, since its record had no room") \
	X(addresses_evicted,	"known_addresses_evicted_total","",	"Addresses of peers forgotten because more are known than are kept") \
	X(connection_passes,	"connection_passes_total","",	"Looks at all sockets of nodes") \
	X(p2pd_bytes,		"p2pd_bytes_total",	"",	"Bytes that nodes and their p2pd wrote to each other") \
	X(p2pd_bytes_lost,	"p2pd_bytes_lost_total","",	"Of these, skipped because it was not known where a message starts") \
	X(p2pd_messages,	"p2pd_messages_total",	"",	"Messages between nodes and their p2pd") \
	X(p2pd_messages_bad,	"p2pd_messages_bad_total","",	"Messages between nodes and their p2pd that could not be read") \
	X(p2pd_failures_untold,	"p2pd_failures_untold_total","",	"Failed RPCs left out of the events because their like was told a moment ago") \
	X(p2pd_answers_unmatched,"p2pd_answers_unmatched_total","",	"Answers of RPCs whose question was not seen, or was cancelled") \
	X(p2pd_calls_forgotten,	"p2pd_calls_forgotten_total","",	"RPCs that were in flight for too long, or too many at once") \
	X(canary_sent,		"canary_sent_total",	"",	"Test lines sent, see probes.canary_interval") \
	X(canary_seen,		"canary_seen_total",	"",	"Test lines that every attached probe saw") \
	X(canary_missed,	"canary_missed_total",	"",	"Test lines that some attached probe did not see") \
	X(canary_unfinished,	"canary_unfinished_total","",	"Test children that did not get through in time; nothing is concluded from them") \
	X(probes_mended,	"probes_mended_total",	"",	"Times that probes were attached anew, since a test line was not seen") \
	X(clock_steps,		"clock_steps_total",	"",	"Times that the wall clock was set") \
	X(store_commits,	"store_commits_total",	"",	"Transactions committed to the store") \
	X(store_errors,		"store_errors_total",	"",	"Transactions that the store refused; they are tried again") \
	X(stores_broken,	"stores_broken_total",	"",	"Damaged stores that were set aside and replaced") \
	X(node_states_pruned,	"node_states_pruned_total",	"",	"What was kept of nodes (peers, life, conditions) that are gone for longer than the store's age limit, or too many, forgotten") \
	X(cursors_pruned,	"cursors_pruned_total",	"",	"Positions of files that nobody has seen for 30 days, forgotten") \
	X(states_pruned,	"states_pruned_total",	"",	"What was known of consoles of containers that nobody has seen for 30 days, forgotten: rows") \
	X(windows_lost,		"windows_lost_total",	"",	"Windows or events that found no room in the aggregation") \
	X(engine_errors,	"engine_errors_total",	"",	"Questions to a container engine that failed") \
	X(chain_requests,	"chain_requests_total",	"",	"Requests to the chain's RPC server") \
	X(chain_no_answer,	"chain_errors_total",	"reason=\"no_answer\"",	"Requests to the chain's RPC server that failed") \
	X(chain_http,		"chain_errors_total",	"reason=\"http\"",	"Requests to the chain's RPC server that failed") \
	X(chain_limited,	"chain_errors_total",	"reason=\"limited\"",	"Requests to the chain's RPC server that failed") \
	X(chain_garbage,	"chain_errors_total",	"reason=\"garbage\"",	"Requests to the chain's RPC server that failed") \
	X(chain_missing,	"chain_calls_failed_total","reason=\"missing\"",	"Single questions to the chain without a usable answer") \
	X(chain_reverted,	"chain_calls_failed_total","reason=\"reverted\"",	"Single questions to the chain without a usable answer") \
	X(chain_failed,		"chain_calls_failed_total","reason=\"error\"",	"Single questions to the chain without a usable answer") \
	X(chain_logs_bad,	"chain_logs_bad_total",	"",	"Events of the contract that could not be read") \
	X(chain_fields_bad,	"chain_fields_bad_total",	"",	"Arguments of its events that could not be read") \
	X(chain_blocks_skipped,	"chain_blocks_skipped_total","",	"Blocks whose events were not read: too far back, or refused by the RPC server") \
	X(usage_looks,		"usage_looks_total",	"",	"Looks at what all nodes use") \
	X(targets_found,	"targets_found_total",	"",	"Nodes found since start") \
	X(processes_joined,	"processes_total",	"place=\"started\"",	"Processes of nodes, short-lived ones too") \
	X(processes_ended,	"processes_total",	"place=\"ended\"",	"Processes of nodes, short-lived ones too") \
	X(deaths_untold,	"deaths_untold_total",	"",	"Killed processes of no role that made no event: more than some a minute") \
	X(life_refused,		"life_refused_total",	"",	"Processes whose start and end are not told because too many live") \
	X(zombies_unwatched,	"zombies_unwatched_total","",	"Ended processes not watched for becoming zombies because too many end at once") \
	X(task_events_lost,	"task_events_lost_total","",	"Forks, execs and exits of the host that the process connector told while its socket was full") \
	X(exit_usage_lost,	"exit_usage_lost_total","",	"Times that what ended threads had used was lost (taskstats)") \
	X(targets_gone,		"targets_gone_total",	"",	"Nodes that went away since start")
/* clang-format on */

struct obs_counters {
#define X(field, metric, labels, help) _Atomic uint64_t field;
	OBS_COUNTERS(X)
#undef X
};

/** obs_count() - add @n to a counter of which the caller is the only writer. */
static inline void obs_count(_Atomic uint64_t *c, uint64_t n)
{
	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

/** obs_counter_get() - read a counter from any thread. */
static inline uint64_t obs_counter_get(const _Atomic uint64_t *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}
