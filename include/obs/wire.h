/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * wire.h - what crosses between kernel and user space: the records of the ring
 * buffer, and the shared maps' keys and values.
 *
 * Included by bpf/ and by user/observe/ only. Fixed-width types, natural
 * alignment, named padding. No pointers, no bitfields, no bool, no packed.
 */
#pragma once

#ifdef __bpf__
#include "vmlinux.h"
#else
#include <assert.h>
#include <linux/types.h>
#endif

#include "obs/failure.h"

#define OBS_WIRE_VERSION 1
#define OBS_COMM_LEN	 16
#define OBS_PATH_LEN	 1024
#define OBS_CGROUP_LEN	 512
#define OBS_ARGS_LEN	 1024
#define OBS_PAYLOAD_MAX	 4096

/* Numbers are forever: append, never renumber, never reuse. */
enum obs_rec_type {
	OBS_REC_WRITE = 1,
	OBS_REC_FILE = 2,
	OBS_REC_EXEC = 3,
	OBS_REC_FORK = 4,
	OBS_REC_EXIT = 5,
	OBS_REC_CGROUP = 6,
	OBS_REC_EXIT_USAGE = 7,
	OBS_REC_DEATH = 8,
	OBS_REC_TCP = 9,
	OBS_REC_P2PD = 10,
	OBS_REC_PACKET = 11,
	OBS_REC_SIGNAL = 12,
	OBS_REC_MAX,
};

struct obs_rec_hdr {
	__u16 version; /* OBS_WIRE_VERSION of the writer */
	__u16 type;    /* enum obs_rec_type */
	__u32 size;    /* bytes, this header included */
	__u64 ts_ns;   /* CLOCK_BOOTTIME */
};

/* struct inode's own numbers, see pipeline/cursor.h. */
struct obs_rec_file_id {
	__u64 ino;
	__u32 dev;
	__u32 gen;
};

enum obs_file_kind {
	OBS_KIND_REG = 1,
	OBS_KIND_PIPE = 2,
	OBS_KIND_TTY = 3,
	OBS_KIND_SOCK = 4,
};

enum obs_write_flags {
	/* Other threads or processes hold this description: the offset may be another
	 * write's, and the payload may have changed since. */
	OBS_W_SHARED = 1,
	/* Where it went is not known (splice, sendfile, ...): look at the file. */
	OBS_W_NO_OFFSET = 2,
	/* Not the first record of this write (consoles). */
	OBS_W_PART = 4,
	/* No payload by budget: the file has it. */
	OBS_W_MARK = 8,
};

/* One write(2), or a part of it; payload follows. */
struct obs_rec_write {
	struct obs_rec_hdr hdr;
	struct obs_rec_file_id file;
	__u64 offset; /* of the first byte in the file; consoles: in this write */
	__u64 len;    /* bytes the kernel accepted in this write */
	__u32 tgid;
	__u32 tid;
	__u32 target; /* value of the targets map */
	__s32 fd;
	__u8 kind;     /* enum obs_file_kind */
	__u8 flags;    /* enum obs_write_flags */
	__u16 payload; /* bytes that follow */
	__u32 lost;    /* consoles: losses of this target so far, see struct obs_budget */
	char comm[OBS_COMM_LEN];
};

/* A regular file that a target wrote to and that user space has not judged yet. */
struct obs_rec_file {
	struct obs_rec_hdr hdr;
	struct obs_rec_file_id file;
	__u32 tgid;
	__u32 target;
	__s32 fd;
	__u32 path_len;		 /* bytes used in path */
	__u8 path[OBS_PATH_LEN]; /* names from the file upwards, each NUL-terminated */
};

struct obs_rec_exec {
	struct obs_rec_hdr hdr;
	__u64 cgroup;	/* cgroup v2 id, 0 = none */
	__u64 start_ns; /* task->start_boottime */
	__u32 tgid;
	__u32 ppid;
	__u32 target;	/* 0 = in no known tree */
	__u32 args_len; /* bytes used in args */
	char comm[OBS_COMM_LEN];
	__u8 args[OBS_ARGS_LEN]; /* argv, each NUL-terminated, cut */
};

/* A target forked a process (not a thread). */
struct obs_rec_fork {
	struct obs_rec_hdr hdr;
	__u32 tgid; /* the child */
	__u32 ppid; /* the parent's tgid */
	__u32 target;
	__u32 pad;
};

/* The last thread of a target's process ended. */
struct obs_rec_exit {
	struct obs_rec_hdr hdr;
	__u32 tgid;
	__u32 target;
	__s32 code; /* as wait(2): exit status << 8 | signal */
	__u32 pad;
	char comm[OBS_COMM_LEN];
};

enum obs_oom {
	OBS_OOM_NONE = 0,
	OBS_OOM_HOST = 1,   /* the host had no memory left */
	OBS_OOM_CGROUP = 2, /* a cgroup's limit was reached */
};

#define OBS_CGROUP_NAME_LEN 80

/* What the kernel did to a process that made it end; a process that ends by itself has none.
 * Comes right before its exit record. */
struct obs_rec_death {
	struct obs_rec_hdr hdr;
	__u64 sent_ns;	  /* CLOCK_BOOTTIME of the signal */
	__u64 file_pages; /* resident then; only when the kernel itself killed it */
	__u64 anon_pages;
	__u64 shmem_pages;
	__u64 limit_pages; /* of the cgroup that was full; 0 = none was */
	__u64 usage_pages; /* of that cgroup */
	__u32 tgid;
	__u32 target;
	__s32 signal;	   /* the last one sent that ends a process unless it is handled */
	__s32 si_code;	   /* as in sigaction(2): why the kernel sent it */
	__u32 sender_tgid; /* who ran when it was sent; for faults the process itself */
	__u32 sender_uid;
	__u32 oom;	 /* enum obs_oom */
	__u32 by_kernel; /* no process asked for it */
	char sender_comm[OBS_COMM_LEN];
	char cgroup[OBS_CGROUP_NAME_LEN]; /* last part of the path of the full cgroup */
};

/* What a thread, or all that have ended, used since it started. */
struct obs_spent {
	__u64 run_ns;  /* on a CPU, by the scheduler's clock */
	__u64 user_ns; /* by the accounting of ticks */
	__u64 system_ns;
	__u64 min_faults;
	__u64 maj_faults;
	__u64 read_bytes;  /* from storage, not from the page cache */
	__u64 write_bytes; /* dirtied for storage, less what was thrown away before it got there */
};

/* What a target's process used, once it has ended; comes right before its exit record. */
struct obs_rec_exit_usage {
	struct obs_rec_hdr hdr;
	__u64 start_ns;	     /* task->start_boottime of the group's leader */
	__u64 max_rss_pages; /* the most it ever had resident */
	struct obs_spent spent;
	__u32 tgid;
	__u32 target;
};

/* leaving: the leader's task_struct -> what has been told of a process that is ending. */
struct obs_leaving {
	__u32 target;
	__u32 pad;
	__u64 run_ns;
};

/* No ring record: what iter/task writes of one thread of a target. */
struct obs_task {
	__u64 start_ns;		/* task->start_boottime of the group's leader */
	struct obs_spent spent; /* leader: with that of the threads that have ended */
	/* of the leader only: pages of the whole process */
	__u64 file_pages;
	__u64 anon_pages;
	__u64 swap_pages;
	__u64 shmem_pages;
	__u32 tgid;
	__u32 tid;
	__u32 ppid;
	__u32 target;
	__u32 threads; /* alive, leader only */
	__u32 state;   /* task->__state | task->exit_state */
	char comm[OBS_COMM_LEN];
};

/* members: one bit per tgid that is in the targets map. A look at an array costs next to
 * nothing, and every write on the host takes it. */

/* A cgroup v2 directory was made: perhaps a container about to start. */
struct obs_rec_cgroup {
	struct obs_rec_hdr hdr;
	__u64 id;
	__u32 path_len; /* bytes used in path */
	__u32 pad;
	__u8 path[OBS_CGROUP_LEN]; /* from the root of the hierarchy */
};

#define OBS_P2PD_PAYLOAD_MAX 512 /* bytes of each write on a p2pd socket */

enum obs_p2pd_ends {			   /* who wrote, on which socket */
		     OBS_P2PD_DAEMON = 1,  /* p2pd, on its control socket */
		     OBS_P2PD_CLIENT = 2,  /* the node, on p2pd's control socket */
		     OBS_P2PD_HANDLER = 3, /* the node, on its own socket for streams from peers */
		     OBS_P2PD_DIALER = 4,  /* p2pd, on a client's socket */
};

enum obs_p2pd_flags {
	/* The first record of this end: nothing is known of what was written before. */
	OBS_P2PD_FRESH = 1,
};

/* A write of a node or its p2pd on the UNIX socket between them; its first bytes follow. */
struct obs_rec_p2pd {
	struct obs_rec_hdr hdr;
	__u64 conn; /* inode of the end that connected: the same for both directions */
	__u64 at;   /* bytes that this end wrote before, since the first record */
	__u64 len;  /* bytes written; single bytes written before are in it */
	__u32 tgid;
	__u32 tid;
	__u32 target;
	__u8 ends;     /* enum obs_p2pd_ends */
	__u8 flags;    /* enum obs_p2pd_flags */
	__u16 payload; /* bytes that follow */
};

/* targets: tgid -> which node it belongs to. */
struct obs_target_value {
	__u32 target; /* slot, 1 … OBS_TARGETS_MAX - 1 */
	__u32 pad;
};

#define OBS_TARGETS_MAX 1024
#define OBS_SLOT_CANARY (OBS_TARGETS_MAX - 1) /* no node: our own child, see canary.h */
#define OBS_TGIDS_MAX	16384
/* recent: answers of the targets map, kept where a look costs next to nothing; whoever changes
 * that map forgets the answer */
#define OBS_RECENT_MAX 4096
/* followed: the same for files that are followed; the index is their inode's number */
#define OBS_FOLLOWED_MAX 1024
/* PID_MAX_LIMIT of include/linux/threads.h on 64-bit: one bit per tgid */
#define OBS_PID_BITS  (4 * 1024 * 1024)
#define OBS_FILES_MAX 16384

enum obs_verdict {
	OBS_FILE_PENDING = 1, /* told, not judged yet: captured */
	OBS_FILE_FOLLOW = 2,
	OBS_FILE_IGNORE = 3,
};

/* files: struct obs_rec_file_id -> what to do with writes to it. */
struct obs_file_value {
	__u32 verdict;
	__u32 dirty; /* a mark is on its way: further marks are not needed; user space clears it */
};

/* drops: per CPU, what the ring had no room for. Index: enum obs_drop. */
enum obs_drop {
	OBS_DROP_RING_FILE = 0,	     /* write to a file: repaired from the file */
	OBS_DROP_RING_CONSOLE = 1,   /* write to a pipe or terminal: lost */
	OBS_DROP_RING_PROCESS = 2,   /* exec, fork, exit, file record */
	OBS_DROP_BUDGET_CONSOLE = 3, /* console output over the node's share of the ring: lost */
	OBS_DROP_BUDGET_FILE = 4,    /* file payload over the share: mark sent instead */
	OBS_DROP_FAULT = 5,	     /* the writer's buffer could not be read */
	OBS_DROP_MAP = 6,	     /* targets or files map full */
	OBS_DROP_TOO_LONG = 7, /* the rest of a console write longer than one capture takes: lost */
	OBS_DROP_P2PD = 8,     /* write on a p2pd socket: its messages are not counted */
	OBS_DROP_REASONS = 9,  /* those above count records */
	OBS_DROP_BYTES_CONSOLE = 9, /* bytes, not records: of all console drops */
	OBS_DROP_MAX,
};

/* control: one entry, mapped into user space. */
struct obs_control {
	__u32 reader_sleeps; /* set by user space before it sleeps; the next record wakes it */
	__u32 drain;	     /* +1 per drain: budgets are per drain */
	__u32 payload_max;   /* bytes per record, at most OBS_PAYLOAD_MAX */
	__u32 pad;
	__u64 budget_bytes; /* ring bytes per target and drain */
	__u64 drops;	    /* +1 with each entry in the drops map: look there */
};

/* budgets: target slot -> bytes used in which drain, and what was lost of consoles. The latter
 * grows, and outlives the node that the slot belonged to. */
struct obs_budget {
	__u32 drain;
	__u32 lost; /* console writes, or parts of them */
	__u64 bytes;
	__u64 lost_bytes;
};

/* identity: what identify.bpf.c found out about a descriptor of ours. */
struct obs_identity {
	struct obs_rec_file_id file;
	__u32 kind;
	__u32 serial; /* +1 per answer */
};

/* What happened to a TCP socket of a target. */
enum obs_tcp_what {
	OBS_TCP_OPEN = 1,     /* established */
	OBS_TCP_CLOSE = 2,    /* was established and is over; the counters are final */
	OBS_TCP_FAIL = 3,     /* a connect that was never established */
	OBS_TCP_LISTEN = 4,   /* listens now */
	OBS_TCP_UNLISTEN = 5, /* listens no more */
	OBS_TCP_SAMPLE = 6,   /* no event: how a socket stands, from the iterator */
};

enum obs_tcp_flags {
	OBS_TCP_IN = 1,	     /* a listener of ours took it */
	OBS_TCP_BOUND = 2,   /* the local port was asked for by bind(2); accepted ones never are */
	OBS_TCP_EARLIER = 4, /* was there before it was watched: born_ns is when it was found */
	OBS_TCP_UNSENT = 8,  /* failed before a packet was sent */
};

/* A TCP socket; from the ring, and (as OBS_TCP_SAMPLE) from the sampling iterator. */
struct obs_rec_tcp {
	struct obs_rec_hdr hdr;
	__u64 sock;    /* struct sock *; with born_ns it names one connection for good */
	__u64 born_ns; /* CLOCK_BOOTTIME of the first SYN, sent or answered, or of listen(2) */
	__u64 established_ns; /* CLOCK_BOOTTIME; 0 = not yet, or before it was watched */
	__u64 bytes_sent;     /* payload, with what was sent again */
	__u64 bytes_acked;
	__u64 bytes_received;
	__u64 delivery_rate; /* bytes per second; 0 = not measured */
	__u32 target;
	__u32 tgid; /* who connected or listened; samples: who holds it */
	__u32 netns;
	__u32 srtt_us;
	__u32 rttvar_us;
	__u32 min_rtt_us; /* ~0 = not measured */
	__u32 retransmits;
	__u32 cwnd; /* segments */
	__u32 unacked_bytes;
	__u32 send_queue; /* bytes; listeners: what the accept queue may hold */
	__u32 recv_queue; /* bytes; listeners: what waits to be accepted */
	__u32 drops;	  /* listeners: connections refused for a full queue */
	__s32 err;	  /* errno the socket ended with; 0 = none */
	__u16 local_port;
	__u16 remote_port;
	__u8 what;  /* enum obs_tcp_what */
	__u8 state; /* enum of include/net/tcp_states.h; OBS_TCP_CLOSE: the last but one */
	__u8 flags; /* enum obs_tcp_flags */
	__u8 family;
	__u8 local[16]; /* IPv4 as ::ffff:a.b.c.d */
	__u8 remote[16];
	__u32 half_open; /* listeners: handshakes that the other side has not finished */
};

/* socks: struct sock * -> whose it is, from connect(2), listen(2) or a listener's child on. */
struct obs_sock_value {
	__u32 target;
	__u32 tgid;
	__u64 born_ns;
	__u64 established_ns;
	__u32 flags; /* enum obs_tcp_flags */
	__u32 port;  /* the socket itself has none any more when it ends */
	/* of it in tcp_totals; OBS_TCP_ALL_COUNTED once it has ended */
	__u64 counted_sent;
	__u64 counted_received;
	__u64 counted_retransmits;
};

#define OBS_TCP_ALL_COUNTED (~0ULL)

#define OBS_SOCK_PLACES_BITS 13
#define OBS_SOCK_PLACES	     (1 << OBS_SOCK_PLACES_BITS)

/* sock_places: a socket that is alone in its place is not in socks. */
struct obs_sock_place {
	__u64 sock; /* struct sock *; 0 = nobody */
	struct obs_sock_value value;
};

/* 1 to OBS_SOCK_PLACES; addresses are multiples of some hundreds. */
static inline __u32 obs_sock_place_of(__u64 sock)
{
	return 1 + (__u32)(sock * 0x9e3779b97f4a7c15ULL >> (64 - OBS_SOCK_PLACES_BITS));
}

/* tcp_totals: all TCP of a target, by its slot, per CPU: exact, whatever the ring has room for.
 * Bytes and retransmits: of open connections as of the last look. */
struct obs_tcp_total {
	__u64 in; /* established */
	__u64 out;
	__u64 earlier; /* were established already when they were found */
	__u64 closed;  /* of all these */
	__u64 broken;  /* of closed: by a reset or a timeout */
	__u64 bytes_sent;
	__u64 bytes_received;
	__u64 retransmits;
	__u64 failed[OBS_FAILURES]; /* connects that were never established */
};

#define OBS_DIALS_MAX 8192

/* dialled: thread % OBS_DIALS_MAX -> the socket that it has sent off, until its connect(2) returns.
 * What fails without that fails before there is a SYN, and changes no state. */
struct obs_dial {
	__u64 sock; /* struct sock * */
	__u32 tid;
	__u32 pad;
};

#define OBS_OPENS_PER_S 1000

/* opens: of a target, by its slot: connections that were told of when they began, in this second. */
struct obs_opens {
	__u64 since_ns; /* CLOCK_BOOTTIME */
	__u64 n;
};

#define OBS_LISTENERS_MAX 4096

/* listeners: who takes what comes to a port; the kernel makes the child in a softirq. */
struct obs_listener_key {
	__u32 netns;
	__u32 port;
};

#define OBS_FLOWS_MAX  8192
#define OBS_PACKET_MAX 2048

enum obs_packet_kind {
	OBS_PACKET_DNS = 1,   /* an answer from port 53 */
	OBS_PACKET_HELLO = 2, /* a TLS ClientHello of a target */
};

/* A packet that may tell a name; its payload, cut, follows. */
struct obs_rec_packet {
	struct obs_rec_hdr hdr;
	__u32 target;
	__u16 payload; /* bytes that follow */
	__u16 remote_port;
	__u8 kind; /* enum obs_packet_kind */
	__u8 inbound;
	__u16 pad;
	__u32 pad2;
	__u8 remote[16]; /* IPv4 as ::ffff:a.b.c.d */
};

/* flows: UDP between a target's port and a remote -> what has passed, per CPU. */
struct obs_flow_key {
	__u32 target;
	__u16 local_port;
	__u16 remote_port;
	__u8 remote[16];
};

/* flow_totals: all UDP of a target, by its slot, per CPU: exact, whatever flows has room for. */
struct obs_flow_total {
	__u64 packets_out;
	__u64 packets_in;
	__u64 bytes_out;
	__u64 bytes_in;
};

enum obs_flow_flags {
	OBS_FLOW_HANDSHAKE = 1, /* a QUIC Handshake packet was seen */
	OBS_FLOW_DIALLED = 2,	/* the first packet is an Initial that the node sent */
	OBS_FLOW_CALLED = 4,	/* … that the remote sent */
};

struct obs_flow_value {
	__u64 packets_out;
	__u64 packets_in;
	__u64 bytes_out; /* with IP headers */
	__u64 bytes_in;
	__u64 first_ns; /* CLOCK_BOOTTIME */
	__u64 last_ns;
	__u32 quic_version; /* of the last long header; 0 = none seen */
	__u8 dcid_len;	    /* its connection ids, bytes */
	__u8 scid_len;
	__u8 flags; /* enum obs_flow_flags */
	__u8 pad;
	__u32 tgid; /* whose socket it is; 0 = unknown */
	__u32 pad2;
	__u8 local[16]; /* of the first packet */
};

/* A signal that stops a node's process or lets it go on (SIGSTOP, SIGTSTP, SIGCONT …); it has been
 * sent, and acts when the process next looks at its signals. */
struct obs_rec_signal {
	struct obs_rec_hdr hdr;
	__u32 target;
	__u32 tgid;
	__u32 sender_tgid;
	__u32 sender_uid;
	__u32 signal;
	__u32 pad;
	__u8 sender_comm[OBS_COMM_LEN];
};

_Static_assert(sizeof(struct obs_rec_signal) == 56, "new layout: bump OBS_WIRE_VERSION");
/* marks: on a UDP socket of a node. */
struct obs_mark {
	__u32 target;
	__u32 holder; /* of the slot, at that time: slots are used again; 0 = in its own cgroup */
	__u32 tgid;   /* of who made the socket, or held it when it was found */
	__u32 pad;
};

_Static_assert(sizeof(struct obs_mark) == 16, "new layout: bump OBS_WIRE_VERSION");
_Static_assert(sizeof(struct obs_rec_packet) == 48, "new layout: bump OBS_WIRE_VERSION");
_Static_assert(sizeof(struct obs_flow_key) == 24, "new layout: bump OBS_WIRE_VERSION");
_Static_assert(sizeof(struct obs_flow_value) == 80, "new layout: bump OBS_WIRE_VERSION");
_Static_assert(sizeof(struct obs_rec_tcp) == 168, "new layout: bump OBS_WIRE_VERSION");
_Static_assert(sizeof(struct obs_sock_value) == 56, "new layout: bump OBS_WIRE_VERSION");
_Static_assert(sizeof(struct obs_sock_place) == 64, "new layout: bump OBS_WIRE_VERSION");
_Static_assert(sizeof(struct obs_tcp_total) == 104, "new layout: bump OBS_WIRE_VERSION");
_Static_assert(sizeof(struct obs_dial) == 16, "new layout: bump OBS_WIRE_VERSION");
_Static_assert(sizeof(struct obs_identity) == 24, "new layout: bump OBS_WIRE_VERSION");
_Static_assert(sizeof(struct obs_rec_hdr) == 16, "new layout: bump OBS_WIRE_VERSION");
_Static_assert(sizeof(struct obs_rec_file_id) == 16, "new layout: bump OBS_WIRE_VERSION");
_Static_assert(sizeof(struct obs_rec_write) == 88, "new layout: bump OBS_WIRE_VERSION");
_Static_assert(sizeof(struct obs_rec_file) == 48 + OBS_PATH_LEN,
	       "new layout: bump OBS_WIRE_VERSION");
_Static_assert(sizeof(struct obs_rec_exec) == 64 + OBS_ARGS_LEN,
	       "new layout: bump OBS_WIRE_VERSION");
_Static_assert(sizeof(struct obs_rec_fork) == 32, "new layout: bump OBS_WIRE_VERSION");
_Static_assert(sizeof(struct obs_rec_p2pd) == 56, "new layout: bump OBS_WIRE_VERSION");
_Static_assert(sizeof(struct obs_rec_exit) == 48, "new layout: bump OBS_WIRE_VERSION");
_Static_assert(sizeof(struct obs_rec_cgroup) == 32 + OBS_CGROUP_LEN,
	       "new layout: bump OBS_WIRE_VERSION");
_Static_assert(sizeof(struct obs_rec_death) == 192, "new layout: bump OBS_WIRE_VERSION");
_Static_assert(sizeof(struct obs_control) == 32, "new layout: bump OBS_WIRE_VERSION");
_Static_assert(sizeof(struct obs_budget) == 24, "new layout: bump OBS_WIRE_VERSION");
_Static_assert(sizeof(struct obs_spent) == 56, "new layout: bump OBS_WIRE_VERSION");
_Static_assert(sizeof(struct obs_rec_exit_usage) == 96, "new layout: bump OBS_WIRE_VERSION");
_Static_assert(sizeof(struct obs_leaving) == 16, "new layout: bump OBS_WIRE_VERSION");
_Static_assert(sizeof(struct obs_task) == 136, "new layout: bump OBS_WIRE_VERSION");
