// SPDX-License-Identifier: BSD-2-Clause
/* overflows.c - see overflows.h. The counter is TcpExt's ListenOverflows. */
#include "observe/overflows.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "observe/proc.h"
#include "util/cleanup.h"

#define NETNS_MAX      256
#define LINE_MAX_BYTES 4096 /* of some 130 names */

struct obs_overflows {
	struct {
		uint32_t netns;
		uint64_t taken; /* up to this value of its counter */
	} of[NETNS_MAX];
	size_t n, oldest;
};

int obs_overflows_new(struct obs_overflows **ret)
{
	struct obs_overflows *o = calloc(1, sizeof(*o));

	if (!o)
		return -ENOMEM;
	*ret = o;
	return 0;
}

void obs_overflows_free(struct obs_overflows **o)
{
	free(*o);
	*o = NULL;
}

/* A line of names, and one of numbers in the same order. */
static int number_of(char *names, char *numbers, const char *want, uint64_t *ret)
{
	char *in_names, *in_numbers;
	char *name = strtok_r(names, " \n", &in_names);
	char *number = strtok_r(numbers, " \n", &in_numbers);

	while (name && number) {
		if (strcmp(name, want) == 0) {
			*ret = strtoull(number, NULL, 10);
			return 0;
		}
		name = strtok_r(NULL, " \n", &in_names);
		number = strtok_r(NULL, " \n", &in_numbers);
	}
	return -ENOENT;
}

int obs_overflows_parse(char *text, uint64_t *ret)
{
	char *names = strstr(text, "TcpExt:"), *numbers;

	if (!names)
		return -ENOENT;
	numbers = strchr(names, '\n');
	if (!numbers || strncmp(numbers + 1, "TcpExt:", strlen("TcpExt:")) != 0)
		return -ENOENT;
	*numbers++ = '\0';
	numbers[strcspn(numbers, "\n")] = '\0';
	return number_of(names, numbers, "ListenOverflows", ret);
}

static int ask(uint32_t pid, uint64_t *ret)
{
	cleanup_fclose FILE *f = NULL;
	char path[64], text[2 * LINE_MAX_BYTES];
	size_t n;

	snprintf(path, sizeof(path), "/proc/%u/net/netstat", pid);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	return obs_overflows_parse(text, ret);
}

static uint64_t *place_of(struct obs_overflows *o, uint32_t netns, bool *is_new)
{
	size_t i = 0;

	while (i < o->n && o->of[i].netns != netns)
		i++;
	*is_new = i == o->n;
	if (i == NETNS_MAX)
		i = o->oldest++ % NETNS_MAX;
	else if (*is_new)
		o->n++;
	if (*is_new)
		o->of[i].taken = 0;
	o->of[i].netns = netns;
	return &o->of[i].taken;
}

void obs_overflows_begin(struct obs_overflows *o, pid_t pid)
{
	uint32_t netns = obs_proc_netns(pid);

	if (netns)
		obs_overflows_take(o, netns, (uint32_t)pid, 0);
}

uint32_t obs_overflows_take(struct obs_overflows *o, uint32_t netns, uint32_t pid, uint32_t most)
{
	uint64_t now = 0, *taken;
	bool is_new;

	taken = place_of(o, netns, &is_new);
	if (!is_new && !most)
		return 0;
	if (ask(pid, &now) < 0)
		return most;
	if (is_new || now < *taken) {	 /* or another namespace has the number now */
		*taken = most ? 0 : now; /* what came first can only be believed */
		return most;
	}
	if (now - *taken < most)
		most = (uint32_t)(now - *taken);
	*taken += most;
	return most;
}
