// SPDX-License-Identifier: BSD-2-Clause
/* Varints, protobuf fields, also of messages of which only the head is there. */
#include "check.h"

#include <errno.h>
#include <stdlib.h>

#include "parse/proto.h"

static const struct {
	const char *bytes;
	size_t len;
	int used; /* what is returned */
	uint64_t value;
} varints[] = {
	{ "\x00", 1, 1, 0 },
	{ "\x7f\xff", 2, 1, 127 },
	{ "\x80\x01", 2, 2, 128 },
	{ "\x82\x01", 2, 2, 130 },
	{ "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10, 10, UINT64_MAX },
	{ "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10, -EBADMSG, 0 },
	{ "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 11, -EBADMSG, 0 },
	{ "\x80", 1, 0, 0 },
	{ "", 0, 0, 0 },
};

static void varints_of_every_length(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(varints); i++) {
		uint64_t v = 0;
		int n = obs_varint_parse(obs_slice(varints[i].bytes, varints[i].len), &v);

		if (n != varints[i].used || v != varints[i].value)
			fail_msg("row %zu: %d bytes, value %llu", i, n, (unsigned long long)v);
	}
}

static const struct {
	const char *name, *bytes;
	size_t have, len;
	const char *want; /* a word per field: number wire value-or-have/len */
	int end;	  /* 0, -EBADMSG; 1: an end that is a cut */
} messages[] = {
	{ "all kinds",
	  "\x08\x96\x01\x12\x03"
	  "abc\x19\x01\x02\x03\x04\x05\x06\x07\x08\x25\x01\x00\x00\x80",
	  22, 22, "1v150 2b3/3 3v578437695752307201 4v2147483649 ", 0 },
	{ "empty", "", 0, 0, "", 0 },
	{ "cut in a text", "\x0a\x05xy", 4, 7, "1b2/5 ", 1 },
	{ "cut in a tag's number", "\x08", 1, 3, "", 1 },
	{ "cut in a double", "\x09\x01\x02", 3, 9, "", 1 },
	{ "cut between fields", "\x08\x01", 2, 90, "1v1 ", 1 },
	{ "text longer than the message", "\x0a\x05xy", 4, 4, "", -EBADMSG },
	{ "text longer than the cut message", "\x0a\x05xy", 4, 6, "", -EBADMSG },
	{ "a double too short", "\x09\x01\x02", 3, 3, "", -EBADMSG },
	{ "field 0", "\x00\x01", 2, 2, "", -EBADMSG },
	{ "a group", "\x0b\x0c", 2, 2, "", -EBADMSG },
	{ "no value", "\x08", 1, 1, "", -EBADMSG },
};

static void fields_of_whole_and_cut_messages(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
		cleanup_free char *p = malloc(messages[i].have + 1); /* exact, for ASan */
		char text[256] = "";
		size_t used = 0;
		struct obs_proto w;
		struct obs_proto_field f;
		int r;

		memcpy(p, messages[i].bytes, messages[i].have);
		w = obs_proto(obs_head(p, messages[i].have, messages[i].len));
		while ((r = obs_proto_next(&w, &f)) == 1)
			used += (size_t)(f.wire == OBS_WIRE_LEN
						 ? snprintf(text + used, sizeof(text) - used,
							    "%ub%zu/%zu ", f.number, f.bytes.have,
							    (size_t)f.bytes.len)
						 : snprintf(text + used, sizeof(text) - used,
							    "%uv%llu ", f.number,
							    (unsigned long long)f.value));
		if (strcmp(text, messages[i].want) != 0 || (r < 0 ? r : w.cut) != messages[i].end)
			fail_msg("%s: [%s] end %d cut %d", messages[i].name, text, r, w.cut);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(varints_of_every_length),
		cmocka_unit_test(fields_of_whole_and_cut_messages),
	};

	return cmocka_run_group_tests_name("proto", tests, NULL, NULL);
}
