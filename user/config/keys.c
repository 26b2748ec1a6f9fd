// SPDX-License-Identifier: BSD-2-Clause
/*
 * keys.c - the table of config keys. check-config, the messages and the man
 * page all come from these rows.
 *
 * Rows of one section stand together, in the order check-config prints them. An
 * alias stands below its row: of two names for one setting, the upper one counts.
 */
#include "config/keys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/cleanup.h"

#define LONGEST_TEXT 4096
#define ENTRIES	     1024

#define KIB 1024.0
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define TIB (1024 * GIB)
#define DAY 86400.0

static int host_name(char **ret)
{
	char name[128] = "";
	char *copy;

	if (gethostname(name, sizeof(name) - 1) < 0 || !*name)
		snprintf(name, sizeof(name), "localhost");
	copy = strdup(name);
	if (!copy)
		return -ENOMEM;
	*ret = copy;
	return 0;
}

/* Where a service of this user keeps its state; /tmp when the user has no home. */
static int default_state_dir(char **ret)
{
	const char *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	int n;

	if (geteuid() == 0)
		n = asprintf(ret, "/var/lib/gswarm-observer");
	else if (xdg && xdg[0] == '/')
		n = asprintf(ret, "%s/gswarm-observer", xdg);
	else if (home && home[0] == '/')
		n = asprintf(ret, "%s/.local/state/gswarm-observer", home);
	else
		n = asprintf(ret, "/tmp/gswarm-observer-%u", geteuid());
	return n < 0 ? -ENOMEM : 0;
}

#define F(field) ((ptrdiff_t)offsetof(struct obs_config, field))
#define KEPT	 OBS_KEY_EXTRA

/* clang-format off */
#define TARGET_LISTS(which, words) \
	{ "targets." #which ".container", OBS_KEY_LIST, F(targets.which.container), 0, ENTRIES, NULL, "Container names (shell globs) " words, .example = "[\"rl-swarm-*\"]" }, \
	{ "targets." #which ".image",     OBS_KEY_LIST, F(targets.which.image),     0, ENTRIES, NULL, "Image names (shell globs) " words, .example = "[\"*/rl-swarm:*\"]" }, \
	{ "targets." #which ".label",     OBS_KEY_LIST, F(targets.which.label),     0, ENTRIES, NULL, "Container labels, key=value (shell globs), " words, OBS_KEY_LABELS, .example = "[\"com.example.role=trainer\"]" }, \
	{ "targets." #which ".command",   OBS_KEY_LIST, F(targets.which.command),   0, ENTRIES, NULL, "Command lines (shell globs, arguments joined by spaces) of processes " words, .example = "[\"*swarm_launcher*\"]" }

const struct obs_key obs_keys[] = {
	{ "node_id", OBS_KEY_STRING, F(node_id), 1, 127, NULL, "Name of this host in every event.",
	  .env = "GSWARM_NODE_ID", .example = "my-node-123", .def_words = "the host name", .compute_def = host_name },
	{ "state_dir", OBS_KEY_STRING, F(state_dir), 1, LONGEST_TEXT, NULL, "Directory of the store. Made with mode 0700 when missing.",
	  .env = "GSWARM_STATE_DIR", .example = "/var/lib/gswarm-observer",
	  .def_words = "/var/lib/gswarm-observer; when not root $XDG_STATE_HOME/gswarm-observer", .compute_def = default_state_dir },
	{ "forward", OBS_KEY_FORWARD, F(forward), 0, 0, "events", "What sinks get: 'events' leaves out lines that mean nothing in particular (event type log), 'all' sends them too.", .choices = "events|all" },

	/* The API that gets the events. */
	{ "api_endpoint", OBS_KEY_URL, F(api.endpoint), 0, LONGEST_TEXT, "", "URL that gets the events as a JSON array by POST. Empty: events stay in the store.",
	  .env = "GSWARM_API_ENDPOINT", .example = "https://api.example.com/v1/ingest" },
	{ "auth_token", OBS_KEY_STRING, F(api.token), 0, LONGEST_TEXT, "", "Sent as 'Authorization: Bearer …' to api_endpoint. Better kept in auth_token_file or the environment.",
	  OBS_KEY_SECRET, .env = "GSWARM_AUTH_TOKEN", .example = "eyJhbGciOi…" },
	{ "auth_token_file", OBS_KEY_SECRET_FILE, KEPT, 0, LONGEST_TEXT, "", "File that holds auth_token; blanks around it are ignored.", .alias = "auth_token", .example = "/etc/gswarm-observer/token" },
	{ "jwt_token", OBS_KEY_STRING, KEPT, 0, LONGEST_TEXT, "", "The Go sidecar's name for auth_token.", OBS_KEY_SECRET, .alias = "auth_token", .env = "GSWARM_JWT_TOKEN", .example = "eyJhbGciOi…" },
	{ "jwt_token_file", OBS_KEY_SECRET_FILE, KEPT, 0, LONGEST_TEXT, "", "File that holds jwt_token.", .alias = "auth_token", .example = "/etc/gswarm-observer/token" },
	{ "ca_file", OBS_KEY_STRING, F(api.ca_file), 0, LONGEST_TEXT, "", "PEM file of the authorities to trust for api_endpoint. Empty: those of the system.", .example = "/etc/ssl/certs/my-ca.pem" },
	{ "gzip", OBS_KEY_BOOL, F(api.gzip), 0, 0, "false", "Compress requests to api_endpoint." },
	{ "batch_size", OBS_KEY_COUNT, F(api.batch_size), 1, 100000, "1000", "Most events in one request." },
	{ "batch_bytes", OBS_KEY_SIZE, F(api.batch_bytes), KIB, 64 * MIB, "1MiB", "Most bytes in one request, before compression." },
	{ "batch_interval", OBS_KEY_SECONDS, F(api.batch_interval_s), 0, 3600, "0", "How long a batch waits to fill. 0: events leave as soon as the connection is free.", .example = "2s" },

	/* Logs. */
	{ "log_files", OBS_KEY_LIST, F(log_files), 0, ENTRIES, NULL, "More files to follow, as paths or shell globs. A hint only: the logs of nodes are found by themselves.", .example = "[\"./logs/swarm.log\"]" },
	{ "initial_tail_lines", OBS_KEY_INT, F(initial_tail_lines), -1, 1e9, "100", "Lines of a file that are read when it is seen for the first time. 0 or -1: all." },

	/* Whom nodes talk with. */
	{ "bootnodes", OBS_KEY_LIST, F(bootnodes), 0, ENTRIES, NULL, "Multiaddrs of bootnodes, besides those that p2pd's command line, the node's log and the chain name.", .example = "[\"/ip4/38.101.215.15/tcp/30021/p2p/Qm…\"]" },

	/* Which containers and processes are nodes. */
	{ "targets.builtin", OBS_KEY_BOOL, F(targets.builtin), 0, 0, "true", "Find RL-Swarm nodes by what runs in them (swarm_launcher, train_single_gpu, p2pd)." },
	{ "targets.docker_socket", OBS_KEY_STRING, F(targets.docker_socket), 0, 107, "", "Docker's unix socket. Empty: /var/run/docker.sock.", .example = "/run/user/1000/docker.sock" },
	TARGET_LISTS(include, "that are nodes too."),
	TARGET_LISTS(exclude, "that are never nodes."),

	{ "server.listen", OBS_KEY_LISTEN, F(server.listen), 0, 300, "127.0.0.1:8080", "Address of /health and /metrics: host:port, [ipv6]:port or :port for every address. Empty: no server.", .env = "GSWARM_LISTEN" },

	{ "store.max_bytes", OBS_KEY_SIZE, F(store.max_bytes), MIB, TIB, "256MiB", "Size at which the oldest events go, delivered or not (counted)." },
	{ "store.max_age", OBS_KEY_SECONDS, F(store.max_age_s), 60, 3650 * DAY, "7d", "Age at which events go, delivered or not (counted)." },

	{ "limits.ring_bytes", OBS_KEY_SIZE, F(limits.ring_bytes), 64 * KIB, GIB, "2MiB", "Ring buffer between kernel and observer, a power of two.", OBS_KEY_POWER_OF_2 },
	{ "limits.payload_bytes", OBS_KEY_SIZE, F(limits.payload_bytes), 64, 4096, "4000", "Bytes taken of one write; the rest is read back from the file." },
	{ "limits.line_bytes", OBS_KEY_SIZE, F(limits.line_bytes), 256, 16 * MIB, "64KiB", "Longest line; longer ones are cut and marked." },
	{ "limits.assembly_bytes", OBS_KEY_SIZE, F(limits.assembly_bytes), 4 * KIB, 16 * GIB, "16MiB", "Memory of all lines that have no end yet, together. Beyond it a file's are put off and read again, a console's are split." },
	{ "limits.streams", OBS_KEY_COUNT, F(limits.streams), 1, 65536, "1024", "Files and consoles followed at once." },
	{ "limits.waiting_bytes", OBS_KEY_SIZE, F(limits.waiting_bytes), 4 * MIB, GIB, "64MiB", "Events that may wait in memory, compressed, while the store cannot be written. From half of it on files are not read on; they keep the rest." },
	{ "limits.console_pieces", OBS_KEY_COUNT, F(limits.console_pieces), 0, 1048576, "262144", "Captured console writes that are remembered per container until its engine's file shows them too; the file repairs what was not captured. 0 = do not read it." },
	{ "limits.backfill_bytes_per_s", OBS_KEY_SIZE, F(limits.backfill_bytes_per_s), 256 * KIB, TIB, "64MiB", "How much of old logs is read per second while new lines come from elsewhere. Without new lines there is no limit." },
	{ "limits.pending_bytes", OBS_KEY_SIZE, F(limits.pending_bytes), 4 * KIB, GIB, "1MiB", "Output of a node that may wait while it is being identified." },
	{ "limits.connections", OBS_KEY_COUNT, F(limits.connections), 64, 1048576, "65536", "TCP connections of nodes that are followed at once. Further ones are counted only." },
	{ "limits.peers", OBS_KEY_COUNT, F(limits.peers), 16, 65536, "4096", "Peers remembered per node. The least recently used one makes room (counted)." },

	{ "probes.bpf", OBS_KEY_BOOL, F(probes.bpf), 0, 0, "true", "Use BPF. false: inotify and /proc only." },
	{ "probes.file_write", OBS_KEY_CHOICE, F(probes.file_write), 0, 0, "auto", "Which probe sees file writes. auto: the best that this kernel allows.", .choices = "auto|fexit|sys_exit|inotify" },
	{ "probes.connections", OBS_KEY_CHOICE, F(probes.connections), 0, 0, "auto", "Which probe sees TCP connections. auto: the best that this kernel allows; diag: looking at the sockets once a second, by netlink; proc: the same by files in /proc, which have no counters.", .choices = "auto|bpf|diag|proc|off" },
	{ "probes.processes", OBS_KEY_CHOICE, F(probes.processes), 0, 0, "auto", "Without BPF: how processes are seen that start and end. auto: the kernel tells (process connector, taskstats), for root; proc: looking at /proc once a second.", .choices = "auto|proc" },
	{ "probes.canary_interval", OBS_KEY_SECONDS, F(probes.canary_interval_s), 0, DAY, "300s", "How often a child of the observer does what nodes do (writes lines, forks, opens connections), which every probe must see; /health tells what was not seen. 0: never." },

	{ "usage.interval", OBS_KEY_SECONDS, F(usage.interval_s), 0, DAY, "10s", "Time between two looks at what nodes and their processes use (CPU, memory, storage, limits). 0: never. At least a second." },
	{ "usage.gpu_timeout", OBS_KEY_SECONDS, F(usage.gpu_timeout_s), 0.1, 3600, "10s", "How long a GPU's driver may take before it counts as not answering. Nothing else waits for it." },
	{ "usage.nvml", OBS_KEY_STRING, F(usage.nvml), 1, LONGEST_TEXT, "libnvidia-ml.so.1", "NVIDIA's management library, loaded where it is there.", .example = "/usr/lib/wsl/lib/libnvidia-ml.so.1" },
	{ "usage.nvidia_smi", OBS_KEY_STRING, F(usage.nvidia_smi), 1, LONGEST_TEXT, "nvidia-smi", "NVIDIA's program, asked where the library cannot be loaded.", .example = "/usr/lib/wsl/lib/nvidia-smi" },
	{ "usage.nvidia_dir", OBS_KEY_STRING, F(usage.nvidia_dir), 1, LONGEST_TEXT, "/proc/driver/nvidia", "Is there when NVIDIA's driver is loaded." },
	{ "usage.amd_root", OBS_KEY_STRING, F(usage.amd_root), 1, LONGEST_TEXT, "/sys/class/drm", "Where AMD GPUs are looked for." },

	{ "connections.interval", OBS_KEY_SECONDS, F(connections.interval_s), 1, DAY, "10s", "How often the counters of open connections are read." },
	{ "connections.snapshot_interval", OBS_KEY_SECONDS, F(connections.snapshot_interval_s), 0, DAY, "60s", "How often a dht_snapshot tells with whom a node is connected. 0: never." },
	{ "connections.udp_idle", OBS_KEY_SECONDS, F(connections.udp_idle_s), 1, DAY, "60s", "A UDP flow, of QUIC too, in which nothing has passed for so long is over. libp2p's default is a packet every 15 s that keeps a QUIC connection alive." },
	{ "connections.events_per_second", OBS_KEY_COUNT, F(connections.events_per_second), 0, 1000000, "100", "Events about single connections, per node; further ones are counted only." },

	{ "state.hung_after", OBS_KEY_SECONDS, F(state.hung_after_s), 1, 7 * DAY, "600s", "A trainer that neither writes nor computes for this long, and longer than its own rounds make plausible, counts as hung." },
	{ "state.hung_factor", OBS_KEY_COUNT, F(state.hung_factor), 1, 100, "3", "How many times its longest round (99th percentile) a trainer may be silent." },
	{ "state.submit_interval", OBS_KEY_SECONDS, F(state.submit_interval_s), 60, 30 * DAY, "3h", "How often a node submits; half as much more may pass before it counts as not earning." },

	{ "p2pd.snapshot_interval", OBS_KEY_SECONDS, F(p2pd.snapshot_interval_s), 0, DAY, "60s", "How often a node's RPCs and peers become an event (dht_snapshot), if there were any. 0: never." },
	{ "p2pd.save_file", OBS_KEY_STRING, F(p2pd.save_file), 0, LONGEST_TEXT, "", "Keep what nodes and their p2pd say to each other in this file, for 'gswarm-observer p2pd FILE': ids, names, sizes and times, not the data. Grows without limit.", .example = "/tmp/p2pd.capture" },

	{ "conditions.interval", OBS_KEY_SECONDS, F(conditions.interval_s), 1, DAY, "5s", "How often a node's network is judged: what is wrong with it becomes an event, and a metric (gswarm_condition)." },
	{ "conditions.ended_after", OBS_KEY_SECONDS, F(conditions.ended_after_s), 0, DAY, "15s", "How long it must be well before it counts as ended." },
	{ "conditions.no_dht_peer", OBS_KEY_SECONDS, F(conditions.no_dht_peer_s), 0, 7 * DAY, "5m", "p2pd runs and is connected with nobody for so long. 0: is not judged." },
	{ "conditions.bootnodes_unreachable", OBS_KEY_SECONDS, F(conditions.bootnodes_unreachable_s), 0, 7 * DAY, "60s", "The last attempt at each bootnode failed, for so long. 0: is not judged." },
	{ "conditions.half_open_storm", OBS_KEY_COUNT, F(conditions.half_open_storm), 0, 1000000, "100", "So many TCP handshakes, to the node and by it, are begun and not finished at once. 0: is not judged." },
	{ "conditions.rtt_grew", OBS_KEY_COUNT, F(conditions.rtt_grew), 0, 1000, "5", "At least half of the connections with the swarm have so many times their usual round-trip time, and 10 ms. 0: is not judged." },
	{ "conditions.clock_offset", OBS_KEY_SECONDS, F(conditions.clock_offset_s), 0, DAY, "2s", "The median of the peers' clocks is so far from this host's; nodes refuse more than 3 s. 0: is not judged." },
	{ "conditions.not_reachable", OBS_KEY_SECONDS, F(conditions.not_reachable_s), 0, 30 * DAY, "30m", "The node dials others, and for so long nobody outside has reached its p2pd. 0: is not judged." },

	{ "scrub.level", OBS_KEY_CHOICE, F(scrub.level), 0, 0, "standard", "What is taken out of events before anything keeps them. standard: secrets, e-mail addresses, ids of people; strict: user names in paths and this host's addresses too.", .choices = "off|standard|strict" },

	{ "scrub.rules", OBS_KEY_TREE, KEPT, 0, 0, "", "More to take out: a list of {name, regex}; each match becomes [NAME]. PCRE2, with a limit on the work." },

	{ "patterns", OBS_KEY_TREE, KEPT, 0, 0, "", "Event patterns of your own, for lines that no built-in one takes: a list of {name, regex, event, code, fields}. Named groups of the regex, and groups without a name in the order of fields, become details. PCRE2, with a limit on the work." },
	{ "collapse.first", OBS_KEY_COUNT, KEPT, 0, 1000, "3", "So many of the same error (node, code and message) in one collapse.window are kept as events of their own; the others become one event with a count. 0: keep all." },
	{ "collapse.window", OBS_KEY_SECONDS, KEPT, 1, 3600, "60s", "Length of that window." },
	{ "aggregate.forward", OBS_KEY_CHOICE, KEPT, 0, 0, "none", "Which windows of counts and values (gswarm-observer events --aggregate) become events too.", .choices = "none|1m|5m|1h" },

	/* Checked loosely and kept: the parts that read them come later. */
	{ "sinks", OBS_KEY_TREE, KEPT, 0, 0, "", "Further places that get the events.", OBS_KEY_LATER },
	{ "alerts", OBS_KEY_TREE, KEPT, 0, 0, "", "Alert rules.", OBS_KEY_LATER },

	/* The Go sidecar's sections. */
	{ "log_monitoring.api_endpoint", OBS_KEY_URL, KEPT, 0, LONGEST_TEXT, "", "The Go sidecar's name for api_endpoint.", .alias = "api_endpoint", .example = "https://api.example.com/v1/ingest" },
	{ "log_monitoring.auth_token", OBS_KEY_STRING, KEPT, 0, LONGEST_TEXT, "", "Never had an effect; jwt_token is what is sent.", OBS_KEY_SECRET | OBS_KEY_DEAD, .example = "eyJhbGciOi…" },
	{ "log_monitoring.batch_size", OBS_KEY_COUNT, KEPT, 0, 100000, "0", "The Go sidecar's name for batch_size. 0: as if not set.", OBS_KEY_ZERO_UNSET, .alias = "batch_size" },
	{ "log_monitoring.batch_flush_interval", OBS_KEY_SECONDS, KEPT, 0, 3600, "0", "The Go sidecar's name for batch_interval.", .alias = "batch_interval", .example = "10" },
	{ "log_monitoring.initial_tail_lines", OBS_KEY_INT, KEPT, -1, 1e9, "100", "The Go sidecar's name for initial_tail_lines.", .alias = "initial_tail_lines" },
	{ "log_monitoring.log_files", OBS_KEY_LIST, KEPT, 0, ENTRIES, NULL, "The Go sidecar's name for log_files.", .alias = "log_files", .example = "[\"./logs/swarm.log\"]" },

	{ "api.base_url", OBS_KEY_URL, KEPT, 0, LONGEST_TEXT, "", "Start of the URLs of the metrics API.", OBS_KEY_LATER, .example = "https://api.example.com" },
	{ "api.metrics_endpoint", OBS_KEY_STRING, KEPT, 0, LONGEST_TEXT, "", "Path behind api.base_url that gets hardware metrics.", OBS_KEY_LATER, .example = "/api/v1/metrics" },
	{ "api.health_endpoint", OBS_KEY_STRING, KEPT, 0, LONGEST_TEXT, "", "Never had an effect.", OBS_KEY_DEAD, .example = "/api/v1/health" },
	{ "api.blockchain_latest_endpoint", OBS_KEY_STRING, KEPT, 0, LONGEST_TEXT, "", "Path behind api.base_url that gets chain metrics.", OBS_KEY_LATER, .example = "/api/v1/latest-blockchain" },
	{ "api.auth_token", OBS_KEY_STRING, KEPT, 0, LONGEST_TEXT, "", "Bearer token of the metrics API.", OBS_KEY_SECRET | OBS_KEY_LATER, .env = "GSWARM_API_AUTH_TOKEN", .example = "eyJhbGciOi…" },
	{ "api.auth_token_file", OBS_KEY_SECRET_FILE, KEPT, 0, LONGEST_TEXT, "", "File that holds api.auth_token.", .alias = "api.auth_token", .example = "/etc/gswarm-observer/api-token" },
	{ "api.timeout", OBS_KEY_SECONDS, F(api.timeout_s), 0, 3600, "30s", "Longest time of one request. 0: no limit." },
	{ "api.retry_count", OBS_KEY_INT, KEPT, 0, 1e9, "0", "Of no effect: what an API refuses for now is tried until it is taken.", OBS_KEY_DEAD },

	{ "blockchain.contract_address", OBS_KEY_STRING, F(chain.contract), 0, 128, "", "Contract of the swarm. Empty: what the trainers' environment says (SWARM_CONTRACT).", .example = "0xFaD7C5e93f28257429569B854151A1B8DCD404c2" },
	{ "blockchain.rpc_url", OBS_KEY_URL, F(chain.rpc_url), 0, LONGEST_TEXT, "", "JSON-RPC server of the chain. Empty: the chain is not asked.", OBS_KEY_SECRET, .env = "GSWARM_RPC_URL", .example = "https://gensyn-testnet.g.alchemy.com/public" },
	{ "blockchain.chain_id", OBS_KEY_INT, F(chain.chain_id), 0, 9e15, "0", "Chain that the RPC server has to be of. 0, and the 1234 of the Go sidecar's sample: any.", .example = "685685" },
	{ "blockchain.contract_abi_path", OBS_KEY_STRING, F(chain.abi_path), 0, LONGEST_TEXT, "", "ABI of the contract, as JSON: its events are asked for besides those that are built in.", .example = "configs/contract.abi.json" },
	{ "blockchain.poll_interval", OBS_KEY_SECONDS, F(chain.poll_s), 0, 7 * DAY, "60s", "Time between two questions to the chain. At least a second; 0: 60s." },
	{ "blockchain.send_interval", OBS_KEY_SECONDS, F(chain.send_s), 0, 7 * DAY, "300s", "Time between two blockchain_snapshot events of a node while nothing changes. 0: one with every question." },
	{ "blockchain.node_eoa", OBS_KEY_STRING, F(chain.node_eoa), 0, 128, "", "Account of the nodes: peers that it has registered are asked for too.", .example = "0x0123456789abcdef0123456789abcdef01234567" },
	{ "blockchain.node_peer_id", OBS_KEY_STRING, F(chain.node_peer_id), 0, 95, "", "Peer id to ask for, of a node whose own is not seen. Empty: found in logs and p2pd's socket.", .example = "QmRzqfPNGuudjnz1bkE2i45YGCEtnYx9PtGp2aiVJfKhAc" },

	{ "system.poll_interval", OBS_KEY_SECONDS, F(usage.host_interval_s), 0, DAY, "10s", "Time between two looks at the host's hardware: CPU, memory, disks, network, temperatures, GPUs. 0: never. At least a second." },
	{ "system.batch_size", OBS_KEY_INT, KEPT, 0, 100000, "10", "Hardware samples in one report.", OBS_KEY_LATER },
	{ "system.metrics_interval", OBS_KEY_SECONDS, KEPT, 0, DAY, "0", "Never had an effect.", OBS_KEY_DEAD, .example = "30" },
	{ "system.health_port", OBS_KEY_PORT, KEPT, 0, 65535, "0", "Port of /health and /metrics on 127.0.0.1; server.listen says more. 0: as if not set.", OBS_KEY_ZERO_UNSET, .alias = "server.listen", .example = "8080" },
	{ "system.enable_gpu", OBS_KEY_BOOL, F(usage.gpu), 0, 0, "true", "Look at GPUs." },
	{ "system.enable_cpu", OBS_KEY_BOOL, F(usage.cpu), 0, 0, "true", "Look at the host's CPUs." },
	{ "system.enable_ram", OBS_KEY_BOOL, F(usage.ram), 0, 0, "true", "Look at the host's memory." },

	{ "telegram.bot_token", OBS_KEY_STRING, KEPT, 0, LONGEST_TEXT, "", "Token of the Telegram bot.", OBS_KEY_SECRET | OBS_KEY_LATER, .env = "GSWARM_TELEGRAM_BOT_TOKEN", .example = "123456:ABC…" },
	{ "telegram.bot_token_file", OBS_KEY_SECRET_FILE, KEPT, 0, LONGEST_TEXT, "", "File that holds telegram.bot_token.", .alias = "telegram.bot_token", .example = "/etc/gswarm-observer/bot-token" },
	{ "telegram.chat_id", OBS_KEY_STRING, KEPT, 0, 128, "", "Chat that gets alerts.", OBS_KEY_LATER, .example = "\"-1001234567890\"" },
	{ "telegram.alert_on_down", OBS_KEY_BOOL, KEPT, 0, 0, "false", "Alert when a node falls silent.", OBS_KEY_LATER },
	{ "telegram.down_alert_delay", OBS_KEY_SECONDS, KEPT, 0, 30 * DAY, "300s", "How long it has to be silent.", OBS_KEY_LATER },

	{ "storage.data_path", OBS_KEY_STRING, KEPT, 0, LONGEST_TEXT, "", "The Go sidecar's name for state_dir.", .alias = "state_dir", .example = "./data" },

	{ "logs.swarm_log_path", OBS_KEY_STRING, KEPT, 0, LONGEST_TEXT, "", "Never had an effect.", OBS_KEY_DEAD, .example = "./logs/swarm.log" },
	{ "logs.yarn_log_path", OBS_KEY_STRING, KEPT, 0, LONGEST_TEXT, "", "Never had an effect.", OBS_KEY_DEAD, .example = "./logs/yarn.log" },
	{ "logs.wandb_log_path", OBS_KEY_STRING, KEPT, 0, LONGEST_TEXT, "", "Never had an effect.", OBS_KEY_DEAD, .example = "./logs/wandb/" },
	{ "dht.bootstrap_peers", OBS_KEY_LIST, KEPT, 0, ENTRIES, NULL, "The Go sidecar's name for bootnodes.", .alias = "bootnodes", .example = "[\"/ip4/…/tcp/…/p2p/Qm…\"]" },
	{ "dht.port", OBS_KEY_INT, KEPT, 0, 65535, "0", "Never had an effect.", OBS_KEY_DEAD, .example = "8000" },
};
/* clang-format on */

const size_t obs_keys_n = ARRAY_LEN(obs_keys);

const struct obs_key *obs_key_find(const char *path)
{
	for (size_t i = 0; i < obs_keys_n; i++) {
		if (strcmp(obs_keys[i].path, path) == 0)
			return &obs_keys[i];
	}
	return NULL;
}

const struct obs_key *obs_key_target(const struct obs_key *key)
{
	return key->alias ? obs_key_find(key->alias) : key;
}

size_t obs_key_index(const struct obs_key *key)
{
	return (size_t)(key - obs_keys);
}

const char *obs_key_leaf(const struct obs_key *key)
{
	const char *dot = strrchr(key->path, '.');

	return dot ? dot + 1 : key->path;
}
