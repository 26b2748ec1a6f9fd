// SPDX-License-Identifier: BSD-2-Clause
/* nodes.c - `nodes`: asks the running daemon what state each node is in, and prints a table. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command/ask.h"
#include "command/command.h"
#include "command/follow_loop.h"
#include "command/units.h"
#include "util/cleanup.h"

static const struct obs_option options[] = {
	{ 'c', "config", "FILE", "the daemon's config: where it listens (server.listen)" },
	{ 'u', "url", "URL", "ask this address instead, such as http://127.0.0.1:8080" },
	{ 'j', "json", NULL, "print the answer as it comes" },
	{ 'l', "long", NULL, "print what each state was concluded from, too" },
	{ 0 },
};

struct arguments {
	struct obs_ask ask;
	bool json, details;
};

/* --- the table --- */

/* Columns, not bytes: what begins no character adds none. */
static void put_padded(const char *s, int width)
{
	int n = 0;

	for (; *s; s++) {
		putchar(*s);
		n += ((unsigned char)*s & 0xc0) != 0x80;
	}
	for (; n < width; n++)
		putchar(' ');
}

static void put_for(const cJSON *node, int width)
{
	const cJSON *age = cJSON_GetObjectItem(node, "for_s");
	double s = cJSON_IsNumber(age) ? age->valuedouble : -1;
	char text[OBS_UNIT_TEXT] = "";

	put_padded(s >= 0 ? obs_span_text(s, text) : text, width);
}

static void put_state(const cJSON *node, int width)
{
	const char *sub = obs_ask_text(node, "sub_state");
	char text[64];

	snprintf(text, sizeof(text), "%.30s%s%.30s", obs_ask_text(node, "state"), *sub ? "/" : "",
		 sub);
	put_padded(text, width);
}

static void put_round(const cJSON *node, int width)
{
	const cJSON *round = cJSON_GetObjectItem(node, "round");
	char text[32] = "-";

	if (cJSON_IsNumber(round))
		snprintf(text, sizeof(text), "%.0f", round->valuedouble);
	put_padded(text, width);
}

/* What the contract says of it. */
static void put_chain(const cJSON *chain)
{
	static const char *const keys[] = { "participation", "total_rewards", "total_wins",
					    "last_submission" };

	if (!chain)
		return;
	printf("    chain: round %.0f, %.0f ahead of it",
	       cJSON_GetNumberValue(cJSON_GetObjectItem(chain, "round")),
	       cJSON_GetNumberValue(cJSON_GetObjectItem(chain, "rounds_behind")));
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		if (!*obs_ask_text(chain, keys[i]))
			continue;
		printf(", %s ", keys[i]);
		fputs(obs_ask_text(chain, keys[i]), stdout);
	}
	putchar('\n');
}

static void put_details(const cJSON *node)
{
	const cJSON *e;

	fputs("    ", stdout);
	fputs(obs_ask_text(node, "reason"), stdout);
	putchar('\n');
	put_chain(cJSON_GetObjectItem(node, "chain"));
	cJSON_ArrayForEach(e, cJSON_GetObjectItem(node, "evidence"))
	{
		fputs("    seen ", stdout);
		put_padded(obs_ask_text(e, "time"), 30);
		fputs(obs_ask_text(e, "text"), stdout);
		putchar('\n');
	}
}

static int print_table(struct obs_buf *answer, bool details)
{
	cleanup_cjson cJSON *root = obs_ask_parse(answer);
	const cJSON *node, *nodes = cJSON_GetObjectItem(root, "nodes");

	if (!cJSON_IsArray(nodes)) {
		fprintf(stderr, "gswarm-observer nodes: the answer is not a list of nodes\n");
		return OBS_EXIT_FAIL;
	}
	if (cJSON_GetArraySize(nodes) == 0)
		puts("no node has been found");
	else
		printf("%-28s %-22s %-8s %-8s %s\n", "NODE", "STATE", "FOR", "ROUND", "EARNING?");
	cJSON_ArrayForEach(node, nodes)
	{
		put_padded(obs_ask_text(node, "name"), 29);
		put_state(node, 23);
		put_for(node, 9);
		put_round(node, 9);
		fputs(obs_ask_text(node, "earning_reason"), stdout);
		putchar('\n');
		if (details)
			put_details(node);
	}
	return OBS_EXIT_OK;
}

static int parse(int argc, char **argv, struct arguments *ret)
{
	struct obs_option_value o;
	int i = 1, r;

	while ((r = obs_command_next(&obs_command_nodes, argc, argv, &i, &o)) > 0) {
		if (!o.name) {
			fprintf(stderr, "gswarm-observer nodes: unexpected '%s'\n", o.value);
			return -EINVAL;
		}
		ret->ask.config = o.letter == 'c' ? o.value : ret->ask.config;
		ret->ask.url = o.letter == 'u' ? o.value : ret->ask.url;
		ret->json |= o.letter == 'j';
		ret->details |= o.letter == 'l';
	}
	return r;
}

static int run(int argc, char **argv)
{
	cleanup_buf struct obs_buf answer = {};
	struct arguments a = { .ask.command = "nodes" };
	int r;

	if (parse(argc, argv, &a) < 0)
		return OBS_EXIT_USAGE;
	r = obs_ask(&a.ask, "/api/v1/nodes", &answer);
	if (r != OBS_EXIT_OK)
		return r;
	if (!a.json)
		return print_table(&answer, a.details);
	fwrite(answer.p, 1, answer.len, stdout);
	return OBS_EXIT_OK;
}

const struct obs_command obs_command_nodes = {
	.name = "nodes",
	.summary = "print what state each node is in and whether it earns, from the running daemon",
	.arguments = "",
	.options = options,
	.details =
		"Asks the daemon at server.listen for /api/v1/nodes. Nodes that ended within the\n"
		"last day are listed too. docs/states.md explains the states.",
	.run = run,
};
