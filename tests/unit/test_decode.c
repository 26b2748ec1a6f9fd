// SPDX-License-Identifier: BSD-2-Clause
/* test_decode.c - every way in which a record can lie about itself. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "observe/decode.h"
#include "util/cleanup.h"

#define WRITE_LEN sizeof(struct obs_rec_write)
#define FILE_LEN  sizeof(struct obs_rec_file)
#define EXEC_LEN  sizeof(struct obs_rec_exec)
#define FORK_LEN  sizeof(struct obs_rec_fork)
#define EXIT_LEN  sizeof(struct obs_rec_exit)
#define P2PD_LEN  sizeof(struct obs_rec_p2pd)
#define CGRP_LEN  sizeof(struct obs_rec_cgroup)
#define DEATH_LEN sizeof(struct obs_rec_death)
#define TCP_LEN	  sizeof(struct obs_rec_tcp)
#define PACK_LEN  sizeof(struct obs_rec_packet)
#define V	  OBS_WIRE_VERSION

static const struct decode_case {
	const char *name;
	__u16 version, type;
	__u32 size;    /* what the header claims, bytes */
	size_t len;    /* what the ring delivered, bytes */
	unsigned tail; /* what the record says of its own tail, bytes */
	int want;
} cases[] = {
	/* clang-format off */
	{ "write without payload", V,  OBS_REC_WRITE, WRITE_LEN,	WRITE_LEN,	0,   0 },
	{ "write with payload",	   V,  OBS_REC_WRITE, WRITE_LEN + 120,	WRITE_LEN + 120, 120, 0 },
	{ "ring padding",	   V,  OBS_REC_WRITE, WRITE_LEN + 1,	WRITE_LEN + 8,	1,   0 },
	{ "payload lies",	   V,  OBS_REC_WRITE, WRITE_LEN + 119,	WRITE_LEN + 119, 120, -EMSGSIZE },
	{ "payload too long",	   V,  OBS_REC_WRITE, WRITE_LEN + 4097,	WRITE_LEN + 4097, 4097, -EMSGSIZE },
	{ "packet",		   V,  OBS_REC_PACKET, PACK_LEN + 100,	PACK_LEN + 104,	100, 0 },
	{ "packet's payload lies",  V,  OBS_REC_PACKET, PACK_LEN + 99,	PACK_LEN + 99,	100, -EMSGSIZE },
	{ "tcp",		   V,  OBS_REC_TCP,   TCP_LEN,		TCP_LEN,	0,   0 },
	{ "tcp cut",		   V,  OBS_REC_TCP,   TCP_LEN - 8,	TCP_LEN - 8,	0,   -EMSGSIZE },
	{ "file",		   V,  OBS_REC_FILE,  FILE_LEN,		FILE_LEN,	OBS_PATH_LEN, 0 },
	{ "path too long",	   V,  OBS_REC_FILE,  FILE_LEN,		FILE_LEN,	OBS_PATH_LEN + 1, -EMSGSIZE },
	{ "file cut",		   V,  OBS_REC_FILE,  FILE_LEN - 8,	FILE_LEN - 8,	0,   -EMSGSIZE },
	{ "exec",		   V,  OBS_REC_EXEC,  EXEC_LEN,		EXEC_LEN,	OBS_ARGS_LEN, 0 },
	{ "args too long",	   V,  OBS_REC_EXEC,  EXEC_LEN,		EXEC_LEN,	OBS_ARGS_LEN + 1, -EMSGSIZE },
	{ "fork",		   V,  OBS_REC_FORK,  FORK_LEN,		FORK_LEN,	0,   0 },
	{ "exit",		   V,  OBS_REC_EXIT,  EXIT_LEN,		EXIT_LEN,	0,   0 },
	{ "cgroup",		   V,  OBS_REC_CGROUP, CGRP_LEN,	CGRP_LEN,	OBS_CGROUP_LEN, 0 },
	{ "p2pd",		   V,  OBS_REC_P2PD,   P2PD_LEN + 512,	P2PD_LEN + 512, 512,		    0 },
	{ "p2pd payload too long", V,  OBS_REC_P2PD,   P2PD_LEN + 600,	P2PD_LEN + 600, 513,		    -EMSGSIZE },
	{ "p2pd payload lies",	   V,  OBS_REC_P2PD,   P2PD_LEN + 8,	P2PD_LEN + 8,	9,		    -EMSGSIZE },
	{ "cgroup path too long",  V,  OBS_REC_CGROUP, CGRP_LEN,	CGRP_LEN,	OBS_CGROUP_LEN + 1, -EMSGSIZE },
	{ "death",		   V,  OBS_REC_DEATH, DEATH_LEN,	DEATH_LEN,	0,   0 },
	{ "death cut",		   V,  OBS_REC_DEATH, DEATH_LEN - 8,	DEATH_LEN - 8,	0,   -EMSGSIZE },
	{ "half a header",	   V,  OBS_REC_EXIT,  EXIT_LEN,		8,		0,   -EMSGSIZE },
	{ "size lies",		   V,  OBS_REC_EXIT,  EXIT_LEN,		EXIT_LEN - 1,	0,   -EMSGSIZE },
	{ "record too short",	   V,  OBS_REC_EXIT,  EXIT_LEN - 8,	EXIT_LEN - 8,	0,   -EMSGSIZE },
	{ "newer writer",	   99, OBS_REC_EXIT,  EXIT_LEN,		EXIT_LEN,	0,   -EPROTO },
	{ "type zero",		   V,  0,	      EXIT_LEN,		EXIT_LEN,	0,   -ENOTSUP },
	{ "type from future",	   V,  OBS_REC_MAX,   EXIT_LEN,		EXIT_LEN,	0,   -ENOTSUP },
	/* clang-format on */
};

static void set_tail(void *rec, size_t len, const struct decode_case *c)
{
	if (c->type == OBS_REC_WRITE && len >= WRITE_LEN)
		((struct obs_rec_write *)rec)->payload = (__u16)c->tail;
	if (c->type == OBS_REC_PACKET && len >= PACK_LEN)
		((struct obs_rec_packet *)rec)->payload = (__u16)c->tail;
	if (c->type == OBS_REC_FILE && len >= offsetof(struct obs_rec_file, path))
		((struct obs_rec_file *)rec)->path_len = c->tail;
	if (c->type == OBS_REC_P2PD && len >= P2PD_LEN)
		((struct obs_rec_p2pd *)rec)->payload = (__u16)c->tail;
	if (c->type == OBS_REC_CGROUP && len >= offsetof(struct obs_rec_cgroup, path))
		((struct obs_rec_cgroup *)rec)->path_len = c->tail;
	if (c->type == OBS_REC_EXEC && len >= offsetof(struct obs_rec_exec, args))
		((struct obs_rec_exec *)rec)->args_len = c->tail;
}

static void decode_checks_every_header(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct decode_case *c = &cases[i];
		struct obs_rec_hdr hdr = { .version = c->version,
					   .type = c->type,
					   .size = c->size };
		cleanup_free void *rec = calloc(1, c->len); /* exact, for ASan */
		struct obs_record got = {};
		int r;

		assert_non_null(rec);
		memcpy(rec, &hdr, c->len < sizeof(hdr) ? c->len : sizeof(hdr));
		set_tail(rec, c->len, c);
		r = obs_decode(rec, c->len, &got);
		if (r != c->want)
			fail_msg("%s: got %d, want %d", c->name, r, c->want);
		if (r < 0)
			assert_null(got.hdr); /* untouched on failure */
		else
			assert_int_equal(got.tail.len, c->tail);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decode_checks_every_header),
	};

	return cmocka_run_group_tests_name("decode", tests, NULL, NULL);
}
