// SPDX-License-Identifier: BSD-2-Clause
/* test_names.c - names out of DNS answers and ClientHellos, whole and cut at every byte. */
#include "check.h"

#include <errno.h>

#include "parse/dns.h"
#include "parse/tls.h"

/* huggingface.co: a CNAME first, then an A and an AAAA record. */
static const char dns[] = "\x12\x34\x81\x80\0\1\0\3\0\0\0\0"
			  "\13HuggingFace\2co\0\0\1\0\1"
			  "\300\14\0\5\0\1\0\0\0\74\0\6\3cdn\300\14"
			  "\300\54\0\1\0\1\0\0\0\74\0\4\300\0\2\11"
			  "\300\54\0\34\0\1\0\0\0\74\0\20\40\1\15\270\0\0\0\0\0\0\0\0\0\0\0\1";

/* supported_versions before server_name: the order is anybody's. */
static const char hello[] = "\26\3\1\0\141\1\0\0\135\3\3"
			    "0123456789abcdef0123456789abcdef"
			    "\4SESS\0\4\23\1\23\2\1\0"
			    "\0\52"
			    "\0\53\0\3\2\3\4"
			    "\0\0\0\25\0\23\0\0\20api.WANDB.ai.zzz"
			    "\0\27\0\0"
			    "\0\43\0\0";

static void a_dns_answer_names_its_addresses(void **state)
{
	static const uint8_t v4[16] = { [10] = 0xff, 0xff, 192, 0, 2, 9 };
	struct obs_dns_answer a;

	(void)state;
	assert_int_equal(obs_dns_parse(obs_slice(dns, sizeof(dns) - 1), &a), 0);
	check_text("name", obs_slice_str(a.name), "huggingface.co");
	assert_int_equal(a.n, 2);
	assert_memory_equal(a.ip[0], v4, sizeof(v4));
	assert_int_equal(a.ip[1][0], 0x20);
	assert_int_equal(a.ip[1][15], 1);
}

/* Exact copies, so that the sanitizer sees a read behind the end. */
static struct obs_slice copy_of(const char *p, size_t n, char **ret)
{
	*ret = malloc(n ? n : 1);
	assert_non_null(*ret);
	memcpy(*ret, p, n);
	return obs_slice(*ret, n);
}

static void a_cut_answer_gives_what_stands_before_the_cut(void **state)
{
	size_t before_aaaa = sizeof(dns) - 1 - 28;

	(void)state;
	for (size_t n = 0; n < sizeof(dns) - 1; n++) {
		cleanup_free char *p = NULL;
		struct obs_slice cut = copy_of(dns, n, &p);
		struct obs_dns_answer a;
		int r = obs_dns_parse(cut, &a);

		assert_int_equal(r, n >= before_aaaa ? 0 : -EINVAL);
		if (r == 0)
			assert_int_equal(a.n, 1);
	}
}

static void what_is_no_answer(void **state)
{
	static const struct {
		size_t at;
		char value;
	} changes[] = {
		{ 2, 0x01 },	/* a question */
		{ 3, '\203' },	/* NXDOMAIN */
		{ 5, 2 },	/* two questions */
		{ 13, '/' },	/* no host name */
		{ 12, '\300' }, /* a pointer in the question */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
		cleanup_free char *p = NULL;
		struct obs_slice packet = copy_of(dns, sizeof(dns) - 1, &p);
		struct obs_dns_answer a;

		p[changes[i].at] = changes[i].value;
		if (obs_dns_parse(packet, &a) != -EINVAL)
			fail_msg("byte %zu", changes[i].at);
	}
}

static void a_client_hello_names_its_server(void **state)
{
	char name[OBS_TLS_NAME_MAX];
	size_t name_end = sizeof(hello) - 1 - 8;

	(void)state;
	assert_int_equal(obs_tls_server_name(obs_slice(hello, sizeof(hello) - 1), name), 0);
	check_text("name", obs_slice_str(name), "api.wandb.ai.zzz");
	for (size_t n = 0; n < sizeof(hello) - 1; n++) {
		cleanup_free char *p = NULL;
		struct obs_slice cut = copy_of(hello, n, &p);

		assert_int_equal(obs_tls_server_name(cut, name), n >= name_end ? 0 : -EINVAL);
	}
}

static void what_is_no_client_hello(void **state)
{
	static const struct {
		size_t at;
		char value;
	} changes[] = {
		{ 0, 23 },	/* application data */
		{ 5, 2 },	/* a ServerHello */
		{ 43, '\377' }, /* a session id longer than the rest */
		{ 80, '\n' },	/* no host name */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
		cleanup_free char *p = NULL;
		struct obs_slice bytes = copy_of(hello, sizeof(hello) - 1, &p);
		char name[OBS_TLS_NAME_MAX];

		p[changes[i].at] = changes[i].value;
		if (obs_tls_server_name(bytes, name) != -EINVAL)
			fail_msg("byte %zu", changes[i].at);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_dns_answer_names_its_addresses),
		cmocka_unit_test(a_cut_answer_gives_what_stands_before_the_cut),
		cmocka_unit_test(what_is_no_answer),
		cmocka_unit_test(a_client_hello_names_its_server),
		cmocka_unit_test(what_is_no_client_hello),
	};

	return cmocka_run_group_tests_name("names", tests, NULL, NULL);
}
